# Addresses from before this root used modules, so that an older state keeps its objects.
moved {
  from = cloudflare_zone.this
  to   = module.zone.cloudflare_zone.this
}

moved {
  from = cloudflare_zero_trust_tunnel_cloudflared.this
  to   = module.tunnel.cloudflare_zero_trust_tunnel_cloudflared.this
}

moved {
  from = cloudflare_zero_trust_tunnel_cloudflared_config.this
  to   = module.tunnel.cloudflare_zero_trust_tunnel_cloudflared_config.this
}

moved {
  from = cloudflare_dns_record.hostname
  to   = module.dns.cloudflare_dns_record.this
}

# With only one app, the record had no key.
moved {
  from = module.dns.cloudflare_dns_record.this
  to   = module.dns.cloudflare_dns_record.this["hello"]
}

# Addresses from before the module stack, so that an older state keeps its objects.
moved {
  from = module.tunnel
  to   = module.stack.module.tunnel
}

moved {
  from = module.dns
  to   = module.stack.module.dns
}

moved {
  from = module.waf
  to   = module.stack.module.waf
}

# The zone was in the module stack.
moved {
  from = module.stack.module.zone
  to   = module.zone
}
