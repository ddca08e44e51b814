output "id" {
  description = "The tunnel's id."
  value       = cloudflare_zero_trust_tunnel_cloudflared.this.id
}

output "cname" {
  description = "What a CNAME record must name for its traffic to enter the tunnel."
  value       = "${cloudflare_zero_trust_tunnel_cloudflared.this.id}.cfargotunnel.com"
}
