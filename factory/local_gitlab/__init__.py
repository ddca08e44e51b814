"""A local GitLab simulator on loopback: API v4 subset, git over HTTP, pipelines, Runner API, Terraform state."""
