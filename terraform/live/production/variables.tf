variable "account_id" {
  description = "The Cloudflare account that owns the zone and the tunnel."
  type        = string
}

variable "zone" {
  description = "The domain."
  type        = string
  default     = "hello.test"
}

variable "apps" {
  description = "The apps, from apps/<name>/app.yml; the module stack defines and validates their type."
  type        = any
}

variable "rate_limited" {
  description = "Whether apps have rate limits; Cloudflare's Free plan does not support rate limits by hostname."
  type        = bool
  default     = true
}
