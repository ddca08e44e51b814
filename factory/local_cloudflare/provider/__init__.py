"""Simulates Cloudflare's Terraform provider."""
