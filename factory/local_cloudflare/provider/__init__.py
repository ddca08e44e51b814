"""A double of Cloudflare's Terraform provider."""
