variable "account_id" {
  description = "The Cloudflare account that owns the zone and the tunnel."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "An account id is 32 hexadecimal characters."
  }
}

variable "zone" {
  description = "The domain."
  type        = string
}

# A hostname is www and not the apex: a CNAME beside the apex's own records is not valid DNS, and works only where the
# provider flattens it.
variable "apps" {
  description = "The apps, from apps/<name>/app.yml: where each is reached, the release that takes its traffic, and how many requests one address may send in a minute."
  type = map(object({
    hostname            = string
    release             = string
    requests_per_minute = optional(number, 300)
  }))

  validation {
    condition     = alltrue([for app in var.apps : endswith(app.hostname, ".${var.zone}")])
    error_message = "A hostname must lie within the zone."
  }

  validation {
    condition     = length(distinct([for app in var.apps : app.hostname])) == length(var.apps)
    error_message = "Two apps can't have the same hostname."
  }

  validation {
    condition     = alltrue([for app in var.apps : can(regex("^[a-z][a-z0-9-]*-[0-9a-f]{7,40}$", app.release))])
    error_message = "A release is the app's name and 7 to 40 hexadecimal characters of a commit."
  }
}

variable "rate_limited" {
  description = "Whether apps have rate limits; Cloudflare's Free plan has none that look at the hostname."
  type        = bool
  default     = true
}
