resource "cloudflare_zone" "this" {
  account = {
    id = var.account_id
  }
  name = var.zone

  lifecycle {
    # Deleting a zone deletes every record in it, and gives the domain other name servers when it comes back.
    prevent_destroy = true
  }
}

resource "cloudflare_zero_trust_tunnel_cloudflared" "this" {
  account_id = var.account_id
  name       = "hello"
  config_src = "cloudflare"
}

# What moves traffic from one release to the next: a deploy changes this service and nothing else.
resource "cloudflare_zero_trust_tunnel_cloudflared_config" "this" {
  account_id = var.account_id
  tunnel_id  = cloudflare_zero_trust_tunnel_cloudflared.this.id

  config = {
    ingress = concat(
      [for app in var.apps : { hostname = app.hostname, service = "http://${app.release}" }],
      [{ hostname = null, service = "http_status:404" }],
    )
  }
}

resource "cloudflare_dns_record" "hostname" {
  for_each = var.apps

  zone_id = cloudflare_zone.this.id
  name    = each.value.hostname
  type    = "CNAME"
  content = "${cloudflare_zero_trust_tunnel_cloudflared.this.id}.cfargotunnel.com"
  proxied = true
  ttl     = 1
}
