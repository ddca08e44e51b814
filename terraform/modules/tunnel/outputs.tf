output "id" {
  description = "The tunnel's id."
  value       = cloudflare_zero_trust_tunnel_cloudflared.this.id
}

output "cname" {
  description = "The target for CNAME records that send their traffic to the tunnel."
  value       = "${cloudflare_zero_trust_tunnel_cloudflared.this.id}.cfargotunnel.com"
}
