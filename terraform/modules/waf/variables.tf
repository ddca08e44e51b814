variable "zone_id" {
  description = "The zone of the rules."
  type        = string
}

variable "hostnames" {
  description = "The hostnames that custom rules apply to, in a zone with other traffic too; an empty list means all of the zone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for hostname in var.hostnames : can(regex("^[a-z0-9.-]+$", hostname))])
    error_message = "A hostname must be in lower case, because it becomes part of an expression."
  }
}

variable "rules" {
  description = "Custom rules; the first match applies: ref (a stable name), description, expression and action."
  type = list(object({
    ref         = string
    description = string
    expression  = string
    action      = optional(string, "block")
    enabled     = optional(bool, true)
  }))
  nullable = false

  # Paths that scanners request from every host and that no app serves.
  default = [
    {
      ref         = "no_git"
      description = "Nobody needs a repository from here"
      expression  = "starts_with(http.request.uri.path, \"/.git\")"
    },
    {
      ref         = "no_env"
      description = "Nobody needs an environment file from here"
      expression  = "starts_with(http.request.uri.path, \"/.env\")"
    },
  ]

  validation {
    condition     = length(distinct(var.rules[*].ref)) == length(var.rules)
    error_message = "Every rule must have a unique ref."
  }

  validation {
    condition = alltrue([
      for rule in var.rules :
      contains(["block", "challenge", "js_challenge", "managed_challenge", "log", "skip"], rule.action)
    ])
    error_message = "A rule's action must be block, challenge, js_challenge, managed_challenge, log or skip."
  }
}

variable "rate_limits" {
  description = "The rate limits, by name: allowed requests from one address to a hostname in a period, and the duration of the block (both in seconds)."
  type = map(object({
    hostname           = string
    requests           = number
    period             = optional(number, 60)
    mitigation_timeout = optional(number, 60)
  }))
  default = {}

  validation {
    condition     = alltrue([for limit in var.rate_limits : limit.requests >= 1 && floor(limit.requests) == limit.requests])
    error_message = "requests must be a whole number of at least 1."
  }

  validation {
    condition     = alltrue([for limit in var.rate_limits : contains([10, 60, 120, 300, 600, 3600], limit.period)])
    error_message = "A period must be 10, 60, 120, 300, 600 or 3600 seconds."
  }

  validation {
    condition     = alltrue([for limit in var.rate_limits : can(regex("^[a-z0-9.-]+$", limit.hostname))])
    error_message = "A hostname must be in lower case, because it becomes part of an expression."
  }
}
