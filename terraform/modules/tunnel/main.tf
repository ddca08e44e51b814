resource "cloudflare_zero_trust_tunnel_cloudflared" "this" {
  account_id = var.account_id
  name       = var.name
  config_src = "cloudflare"
}

# A deployment changes only a rule's service, which moves the traffic to the next release.
resource "cloudflare_zero_trust_tunnel_cloudflared_config" "this" {
  account_id = var.account_id
  tunnel_id  = cloudflare_zero_trust_tunnel_cloudflared.this.id

  config = {
    ingress = concat(
      [for rule in var.ingress : { hostname = rule.hostname, path = rule.path, service = rule.service }],
      # The last rule must match everything.
      [{ hostname = null, path = null, service = "http_status:404" }],
    )
  }
}
