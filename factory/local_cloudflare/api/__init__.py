"""Cloudflare's API v4, as far as the Terraform provider uses it."""
