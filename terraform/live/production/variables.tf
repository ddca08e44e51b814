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
  description = "The apps, from apps/<name>/app.yml; the module stack says what each holds, and checks it."
  type        = any
}

variable "rate_limited" {
  description = "Whether apps have rate limits; Cloudflare's Free plan has none that look at the hostname."
  type        = bool
  default     = true
}
