module "zone" {
  source = "../zone"

  account_id = var.account_id
  name       = var.zone
}

# One tunnel serves all apps; a deployment changes only the service of its app's rule.
module "tunnel" {
  source = "../tunnel"

  account_id = var.account_id
  name       = var.zone
  ingress    = [for app in var.apps : { hostname = app.hostname, service = "http://${app.release}" }]
}

module "dns" {
  source = "../dns"

  zone_id = module.zone.id
  records = {
    for name, app in var.apps : name => { name = app.hostname, type = "CNAME", content = module.tunnel.cname }
  }
}

module "waf" {
  source = "../waf"

  zone_id     = module.zone.id
  rate_limits = var.rate_limited ? local.rate_limits : {}
}

locals {
  rate_limits = {
    for name, app in var.apps : name => { hostname = app.hostname, requests = app.requests_per_minute }
  }
}
