terraform {
  required_version = "~> 1.11"

  required_providers {
    # A range: the root that uses this module pins one version.
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = ">= 5.14.0, < 6.0.0"
    }
  }
}
