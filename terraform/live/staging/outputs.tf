output "hostnames" {
  description = "Where each app is reached."
  value       = module.stack.hostnames
}

output "releases" {
  description = "The release that takes the traffic, for each app."
  value       = module.stack.releases
}

output "tunnel_id" {
  description = "The tunnel that the hostnames lead to."
  value       = module.stack.tunnel_id
}

output "name_servers" {
  description = "The name servers that the domain's registrar must name."
  value       = module.stack.name_servers
}
