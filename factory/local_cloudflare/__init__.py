"""Simulates Cloudflare on loopback: API, Terraform provider, edge and release supervisor."""
