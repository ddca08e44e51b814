locals {
  zone_resource    = jsonencode({ "com.cloudflare.api.account.zone.${var.zone_id}" = "*" })
  account_resource = jsonencode({ "com.cloudflare.api.account.${var.account_id}" = "*" })

  scopes = {
    plan = {
      zone = [
        var.permission_groups.zone_read,
        var.permission_groups.dns_read,
        var.permission_groups.zone_settings_read,
        var.permission_groups.zone_waf_read,
      ]
      account = [var.permission_groups.tunnel_read]
    }
    # An apply also only reads zones: a person creates the zone once, and the pipeline must not delete it.
    apply = {
      zone = [
        var.permission_groups.zone_read,
        var.permission_groups.dns_write,
        var.permission_groups.zone_settings_write,
        var.permission_groups.zone_waf_write,
      ]
      account = [var.permission_groups.tunnel_write]
    }
  }
}

# A new expiry replaces the tokens instead of extending the old ones.
resource "terraform_data" "lifetime" {
  input = var.expires_on
}

resource "cloudflare_account_token" "this" {
  for_each = local.scopes

  account_id = var.account_id
  name       = "${var.name}-${each.key}"
  expires_on = var.expires_on
  condition  = length(var.allowed_addresses) > 0 ? { request_ip = { in = var.allowed_addresses } } : null

  policies = [
    {
      effect            = "allow"
      permission_groups = [for group in each.value.zone : { id = group }]
      resources         = local.zone_resource
    },
    {
      effect            = "allow"
      permission_groups = [for group in each.value.account : { id = group }]
      resources         = local.account_resource
    },
  ]

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.lifetime]

    precondition {
      condition     = timecmp(var.expires_on, timeadd(plantimestamp(), "2160h")) <= 0
      error_message = "expires_on must be at most 90 days from now."
    }
  }
}
