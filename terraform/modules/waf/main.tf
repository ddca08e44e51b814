locals {
  hosts = join(" ", [for hostname in sort(var.hostnames) : "\"${hostname}\""])
}

resource "cloudflare_ruleset" "custom" {
  count = length(var.rules) > 0 ? 1 : 0

  zone_id = var.zone_id
  kind    = "zone"
  phase   = "http_request_firewall_custom"
  name    = "custom"

  rules = [
    for rule in var.rules : {
      # The ref identifies the rule if the order of the rules changes.
      ref         = rule.ref
      description = rule.description
      expression  = length(var.hostnames) > 0 ? "(http.host in {${local.hosts}}) and (${rule.expression})" : rule.expression
      action      = rule.action
      enabled     = rule.enabled
    }
  ]
}

resource "cloudflare_ruleset" "rate_limit" {
  count = length(var.rate_limits) > 0 ? 1 : 0

  zone_id = var.zone_id
  kind    = "zone"
  phase   = "http_ratelimit"
  name    = "rate limits"

  rules = [
    for name, limit in var.rate_limits : {
      ref         = name
      description = "${name}: ${limit.requests} requests in ${limit.period} s from one address"
      expression  = "(http.host eq \"${limit.hostname}\")"
      action      = "block"
      enabled     = true
      ratelimit = {
        # Requests are counted per address and data centre; Cloudflare cannot count across data centres.
        characteristics     = ["cf.colo.id", "ip.src"]
        period              = limit.period
        requests_per_period = limit.requests
        mitigation_timeout  = limit.mitigation_timeout
      }
    }
  ]
}
