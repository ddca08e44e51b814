variable "account_id" {
  description = "The Cloudflare account that owns the tunnel."
  type        = string
}

variable "name" {
  description = "The tunnel's name, unique in the account."
  type        = string
}

variable "ingress" {
  description = "The ingress rules; the first match applies: hostname, path (a regular expression, optional) and service."
  type = list(object({
    hostname = string
    path     = optional(string)
    service  = string
  }))

  validation {
    condition = alltrue([
      for rule in var.ingress : can(regex("^(https?|tcp|unix|http_status|hello_world)(:.+)?$", rule.service))
    ])
    error_message = "A service must be a URL such as http://name or http://127.0.0.1:8080, or http_status:<code>."
  }

  validation {
    condition     = alltrue([for rule in var.ingress : can(regex("^(\\*\\.)?[a-z0-9.-]+$", rule.hostname))])
    error_message = "Every rule must have a hostname in lower case; the module itself adds the rule that matches everything."
  }
}
