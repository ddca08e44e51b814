# One tunnel serves all apps; a deployment changes only the service of its app's rule.
module "tunnel" {
  source = "../tunnel"

  account_id = var.account_id
  name       = coalesce(var.zone.tunnel, var.zone.name)
  ingress    = [for app in var.apps : { hostname = app.hostname, service = "http://${app.release}" }]
}

module "dns" {
  source = "../dns"

  zone_id = var.zone.id
  records = {
    for name, app in var.apps : name => { name = app.hostname, type = "CNAME", content = module.tunnel.cname, proxied = true }
  }
}

module "waf" {
  source = "../waf"

  zone_id     = var.zone.id
  hostnames   = var.zone.shared ? [for app in var.apps : app.hostname] : []
  rules       = var.zone.custom_rules ? null : []
  rate_limits = var.zone.rate_limited ? local.rate_limits : {}
}

# The settings of a zone that Terraform creates are those of the module zone.
resource "cloudflare_zone_setting" "this" {
  for_each = var.zone.settings

  zone_id    = var.zone.id
  setting_id = each.key
  value      = each.value
}

locals {
  rate_limits = {
    for name, app in var.apps : name => { hostname = app.hostname, requests = app.requests_per_minute }
  }
}
