output "hostnames" {
  description = "The hostname of each app."
  value       = module.stack.hostnames
}

output "releases" {
  description = "The release that serves traffic, for each app."
  value       = module.stack.releases
}

output "tunnel_id" {
  description = "The id of the tunnel that the hostnames point to."
  value       = module.stack.tunnel_id
}

output "name_servers" {
  description = "The name servers to set at the domain's registrar."
  value       = local.zone.name_servers
}
