terraform {
  required_version = "~> 1.11"

  required_providers {
    # Exact: Cloudflare changes schemas in minor versions.
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "= 5.14.0"
    }
  }

  # Address, lock and credentials come from TF_HTTP_*; GitLab keeps the state.
  backend "http" {}
}

# Token and address come from CLOUDFLARE_API_TOKEN and CLOUDFLARE_BASE_URL.
provider "cloudflare" {}
