terraform {
  required_version = "~> 1.11"

  required_providers {
    # Pinned exactly, because Cloudflare changes schemas in minor versions.
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "= 5.14.0"
    }
  }

  # GitLab stores the state; TF_HTTP_* set address, lock and credentials.
  backend "http" {}
}

# CLOUDFLARE_API_TOKEN and CLOUDFLARE_BASE_URL set token and address.
provider "cloudflare" {}
