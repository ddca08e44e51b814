output "id" {
  description = "The zone's id."
  value       = cloudflare_zone.this.id
}

output "name_servers" {
  description = "The name servers that the domain's registrar must name."
  value       = cloudflare_zone.this.name_servers
}

output "settings" {
  description = "The settings that the zone has: setting id to value."
  value       = { for name, setting in cloudflare_zone_setting.this : name => setting.value }
}
