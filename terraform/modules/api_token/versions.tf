terraform {
  required_version = "~> 1.11"

  required_providers {
    # Exact: Cloudflare changes schemas in minor versions.
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "= 5.14.0"
    }
  }
}
