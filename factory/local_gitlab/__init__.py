"""A loopback GitLab: API v4 subset, git over HTTP, pipelines, Runner API, Terraform state."""
