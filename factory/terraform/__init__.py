"""Creates Terraform plans, each with a manifest of digests, and applies approved plans."""
