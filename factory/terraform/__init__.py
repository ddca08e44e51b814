"""Terraform plans with a manifest of digests, and their apply."""
