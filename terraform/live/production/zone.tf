# Terraform creates this zone. For a zone that exists already, `factory infra adopt-zone` replaces this file.
variable "zone" {
  description = "The domain."
  type        = string
  default     = "hello.test"
}

variable "rate_limited" {
  description = "Whether apps have rate limits; Cloudflare's Free plan does not support rate limits by hostname."
  type        = bool
  default     = true
}

module "zone" {
  source = "../../modules/zone"

  account_id = var.account_id
  name       = var.zone
}

locals {
  zone = {
    id           = module.zone.id
    name         = var.zone
    name_servers = module.zone.name_servers
    rate_limited = var.rate_limited
  }
}
