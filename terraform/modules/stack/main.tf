# One tunnel serves all apps. A deployment changes only the services of its app's two rules, both in one version of the
# tunnel's configuration: the first asks the host itself which release this is, the second is the release.
module "tunnel" {
  source = "../tunnel"

  account_id = var.account_id
  name       = coalesce(var.zone.tunnel, var.zone.name)
  ingress = flatten([
    for name, app in var.apps : [
      { hostname = app.hostname, path = "^/\\.well-known/factory-release$", service = "${local.sockets[name]}.release.sock" },
      { hostname = app.hostname, path = null, service = "${local.sockets[name]}.sock" },
    ]
  ])
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

  zone_id   = var.zone.id
  hostnames = var.zone.shared ? [for app in var.apps : app.hostname] : []
  # Without a hostname the rules would be those of the whole zone.
  rules       = var.zone.custom_rules && !(var.zone.shared && length(var.apps) == 0) ? null : []
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
  # The sockets of a release have the first 12 digits of its commit in their names: a socket's path has at most 107 bytes.
  sockets = { for name, app in var.apps : name => "unix:${var.sockets}/${regex("^.*-[0-9a-f]{12}", app.release)}" }

  rate_limits = {
    for name, app in var.apps : name => { hostname = app.hostname, requests = app.requests_per_minute }
  }
}
