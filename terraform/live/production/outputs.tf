output "releases" {
  description = "The release that takes the traffic, for each app."
  value       = { for name, app in var.apps : name => app.release }
}

output "tunnel_id" {
  description = "The tunnel that the hostname leads to."
  value       = cloudflare_zero_trust_tunnel_cloudflared.this.id
}
