# The addresses that this root had before it had any module: a state of that time keeps its objects.
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

# Before there were several apps, the one record had no name of its own.
moved {
  from = module.dns.cloudflare_dns_record.this
  to   = module.dns.cloudflare_dns_record.this["hello"]
}

# The addresses that this root had before the module stack: a state of that time keeps its objects.
moved {
  from = module.zone
  to   = module.stack.module.zone
}

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
