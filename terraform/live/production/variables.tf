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
  default     = "hello.test"
}

# www and not the apex: a CNAME beside the apex's own records is not valid DNS, and works only where the provider
# flattens it.
variable "hostname" {
  description = "The name, within the zone, that serves the release."
  type        = string
  default     = "www.hello.test"

  validation {
    condition     = endswith(var.hostname, ".${var.zone}")
    error_message = "The hostname must lie within the zone."
  }
}

variable "release" {
  description = "The release that takes the traffic: hello- and the commit it was built from."
  type        = string

  validation {
    condition     = can(regex("^hello-[0-9a-f]{7,40}$", var.release))
    error_message = "A release is hello- and 7 to 40 hexadecimal characters of a commit."
  }
}
