variable "account_id" {
  description = "The Cloudflare account that owns the zone and the tunnel."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "An account id must be 32 hexadecimal characters."
  }
}

variable "zone" {
  description = "The zone: id, name, [tunnel: its tunnel's name, if several environments use the zone], [shared: whether it has traffic other than the apps'], [custom_rules, rate_limited: whether this environment has rules in these phases], [settings: zone settings by id]."
  type = object({
    id           = string
    name         = string
    tunnel       = optional(string)
    shared       = optional(bool, false)
    custom_rules = optional(bool, true)
    rate_limited = optional(bool, true)
    settings     = optional(map(string), {})
  })
}

variable "sockets" {
  description = "The folder in which the environment's host makes the sockets of its releases (`factory host run --sockets`)."
  type        = string

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._-]+)+$", var.sockets))
    error_message = "The folder of the sockets must be an absolute path of letters, digits, dots, hyphens and underscores."
  }
}

# A hostname must not be the apex: a CNAME next to the apex's other records is not valid DNS and works only if the DNS
# provider flattens it.
variable "apps" {
  description = "The apps, from apps/<name>/app.yml: hostname, release that serves traffic, and allowed requests per minute from one address."
  type = map(object({
    hostname            = string
    release             = string
    requests_per_minute = optional(number, 300)
  }))

  validation {
    condition     = alltrue([for app in var.apps : endswith(app.hostname, ".${var.zone.name}")])
    error_message = "A hostname must be in the zone."
  }

  validation {
    condition     = length(distinct([for app in var.apps : app.hostname])) == length(var.apps)
    error_message = "Two apps must not have the same hostname."
  }

  validation {
    condition     = alltrue([for app in var.apps : can(regex("^[a-z][a-z0-9-]*-[0-9a-f]{12,40}$", app.release))])
    error_message = "A release must be the app's name, a hyphen and 12 to 40 hexadecimal characters of a commit."
  }
}
