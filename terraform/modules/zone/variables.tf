variable "account_id" {
  description = "The Cloudflare account that owns the zone."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "An account id must be 32 hexadecimal characters."
  }
}

variable "name" {
  description = "The domain, in lower case and without a trailing dot."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z][a-z0-9-]*[a-z0-9]$", var.name))
    error_message = "A zone must be a domain such as example.com."
  }
}

variable "settings" {
  description = "More settings, or stronger values for the module's own, by setting id."
  type        = map(string)
  default     = {}

  validation {
    condition     = lookup(var.settings, "ssl", "strict") == "strict"
    error_message = "ssl must be strict, because weaker modes do not verify the origin."
  }

  validation {
    condition     = contains(["1.2", "1.3"], lookup(var.settings, "min_tls_version", "1.2"))
    error_message = "min_tls_version must be 1.2 or 1.3, because older TLS is insecure."
  }

  validation {
    condition     = contains(["on", "zrt"], lookup(var.settings, "tls_1_3", "on"))
    error_message = "tls_1_3 must be on, or zrt for zero round trips."
  }

  validation {
    condition = alltrue([
      for name in ["always_use_https", "automatic_https_rewrites"] : lookup(var.settings, name, "on") == "on"
    ])
    error_message = "always_use_https and automatic_https_rewrites must be on."
  }
}
