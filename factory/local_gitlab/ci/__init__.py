"""Pipelines: definition, rules, jobs, states, schedules, environments, variables and Terraform state."""
