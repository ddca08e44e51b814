variable "zone_id" {
  description = "The zone of the records."
  type        = string
}

variable "records" {
  description = "The records, by any key. By default only a record that leads to a tunnel is proxied; ttl 1 means automatic."
  type = map(object({
    name     = string
    type     = string
    content  = string
    proxied  = optional(bool)
    ttl      = optional(number, 1)
    priority = optional(number)
    comment  = optional(string)
  }))
  default = {}

  validation {
    condition = alltrue([
      for record in var.records : contains(["A", "AAAA", "CNAME", "MX", "NS", "PTR", "TXT"], record.type)
    ])
    error_message = "A record's type must be A, AAAA, CNAME, MX, NS, PTR or TXT."
  }

  validation {
    condition     = alltrue([for record in var.records : record.ttl == 1 || (record.ttl >= 60 && record.ttl <= 86400)])
    error_message = "A ttl must be 1 (automatic) or 60 to 86400 seconds."
  }

  validation {
    condition = alltrue([
      for record in var.records :
      record.ttl == 1 || !coalesce(record.proxied, record.type == "CNAME" && endswith(record.content, ".cfargotunnel.com"))
    ])
    error_message = "A proxied record must have the ttl 1 (automatic)."
  }

  validation {
    condition     = alltrue([for record in var.records : (record.type == "MX") == (record.priority != null)])
    error_message = "An MX record must have a priority, and no other record may have one."
  }
}
