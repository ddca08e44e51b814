# A zone for module tests; unlike the zone of the module zone, it can be destroyed.
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "= 5.14.0"
    }
  }
}

variable "name" {
  type = string
}

resource "cloudflare_zone" "this" {
  account = {
    id = "0123456789abcdef0123456789abcdef"
  }
  name = var.name
}

output "id" {
  value = cloudflare_zone.this.id
}
