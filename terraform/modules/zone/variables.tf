variable "account_id" {
  description = "The Cloudflare account that owns the zone."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "An account id is 32 hexadecimal characters."
  }
}

variable "name" {
  description = "The domain, in lower case and without a dot at its end."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z][a-z0-9-]*[a-z0-9]$", var.name))
    error_message = "A zone is a domain such as example.com."
  }
}

variable "settings" {
  description = "Settings beside the module's own, or stronger ones in their place: setting id to value."
  type        = map(string)
  default     = {}

  validation {
    condition     = lookup(var.settings, "ssl", "strict") == "strict"
    error_message = "ssl is strict: less than that does not check who the origin is."
  }

  validation {
    condition     = contains(["1.2", "1.3"], lookup(var.settings, "min_tls_version", "1.2"))
    error_message = "min_tls_version is 1.2 or 1.3: older TLS is broken."
  }

  validation {
    condition     = contains(["on", "zrt"], lookup(var.settings, "tls_1_3", "on"))
    error_message = "tls_1_3 is on, or zrt for zero round trips."
  }

  validation {
    condition = alltrue([
      for name in ["always_use_https", "automatic_https_rewrites"] : lookup(var.settings, name, "on") == "on"
    ])
    error_message = "always_use_https and automatic_https_rewrites are on."
  }
}
