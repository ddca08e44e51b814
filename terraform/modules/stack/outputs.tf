output "hostnames" {
  description = "The hostname of each app."
  value       = { for name, app in var.apps : name => app.hostname }
}

output "releases" {
  description = "The release that serves traffic, for each app."
  value       = { for name, app in var.apps : name => app.release }
}

output "tunnel_id" {
  description = "The id of the tunnel that the hostnames point to."
  value       = module.tunnel.id
}
