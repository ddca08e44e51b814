locals {
  settings = merge(
    {
      always_use_https         = "on"
      automatic_https_rewrites = "on"
      min_tls_version          = "1.2"
      ssl                      = "strict"
      tls_1_3                  = "on"
    },
    var.settings,
  )
}

resource "cloudflare_zone" "this" {
  account = {
    id = var.account_id
  }
  name = var.name

  lifecycle {
    # Deleting a zone deletes all its records, and a new zone for the domain gets other name servers.
    prevent_destroy = true
  }
}

resource "cloudflare_zone_setting" "this" {
  for_each = local.settings

  zone_id    = cloudflare_zone.this.id
  setting_id = each.key
  value      = each.value
}
