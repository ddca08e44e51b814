"""Simulates the part of Cloudflare's API v4 that the Terraform provider uses."""
