output "id" {
  description = "The zone's id."
  value       = cloudflare_zone.this.id
}

output "name_servers" {
  description = "The name servers to set at the domain's registrar."
  value       = cloudflare_zone.this.name_servers
}

output "settings" {
  description = "The values of the zone's settings, by setting id."
  value       = { for name, setting in cloudflare_zone_setting.this : name => setting.value }
}
