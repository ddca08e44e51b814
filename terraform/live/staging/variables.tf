variable "account_id" {
  description = "The Cloudflare account that owns the zone and the tunnel."
  type        = string
}

variable "apps" {
  description = "The apps, from apps/<name>/app.yml; the module stack defines and validates their type."
  type        = any
}
