"""A loopback Cloudflare: API, Terraform provider double, edge and release supervisor."""
