output "hostnames" {
  description = "Where each app is reached."
  value       = { for name, app in var.apps : name => app.hostname }
}

output "releases" {
  description = "The release that takes the traffic, for each app."
  value       = { for name, app in var.apps : name => app.release }
}

output "tunnel_id" {
  description = "The tunnel that the hostnames lead to."
  value       = module.tunnel.id
}

output "name_servers" {
  description = "The name servers that the domain's registrar must name."
  value       = module.zone.name_servers
}
