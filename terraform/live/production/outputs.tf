output "hostname" {
  description = "The name that serves the release."
  value       = cloudflare_dns_record.hostname.name
}

output "release" {
  description = "The release that takes the traffic."
  value       = var.release
}

output "tunnel_id" {
  description = "The tunnel that the hostname leads to."
  value       = cloudflare_zero_trust_tunnel_cloudflared.this.id
}
