variable "account_id" {
  description = "The Cloudflare account that owns the tokens and the tunnel."
  type        = string
}

variable "zone_id" {
  description = "The only zone that the tokens can access."
  type        = string
}

variable "name" {
  description = "The prefix of the tokens' names, before -plan and -apply."
  type        = string
}

variable "expires_on" {
  description = "When both tokens expire (UTC, at most 90 days from now). A change replaces the tokens."
  type        = string

  validation {
    condition     = endswith(var.expires_on, "Z") && can(timeadd(var.expires_on, "0s"))
    error_message = "expires_on must be a time such as 2026-01-31T00:00:00Z."
  }
}

variable "allowed_addresses" {
  description = "The networks (CIDR) that may use the tokens; an empty list allows all."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for network in var.allowed_addresses : can(cidrhost(network, 0))])
    error_message = "Networks must be in CIDR notation, such as 192.0.2.0/24."
  }
}

variable "permission_groups" {
  description = "The ids of Cloudflare's permission groups, the same in every account (API: GET /accounts/:id/tokens/permission_groups)."
  type = object({
    zone_read           = optional(string, "c8fed203ed3043cba015a93ad1616f1f")
    dns_read            = optional(string, "82e64a83756745bbbb1c9c2701bf816b")
    dns_write           = optional(string, "4755a26eedb94da69e1066d98aa820be")
    zone_settings_read  = optional(string, "517b21aee92c4d89936c976ba6e4be55")
    zone_settings_write = optional(string, "3030687196b94b638145a3953da2b699")
    zone_waf_read       = optional(string, "dbc512b354774852af2b5a5f4ba3d470")
    zone_waf_write      = optional(string, "fb6778dc191143babbfaa57993f1d275")
    tunnel_read         = optional(string, "efea2ab8357b47888938f101ae5e053f")
    tunnel_write        = optional(string, "c07321b023e944ff818fec44d8203567")
  })
  default = {}
}
