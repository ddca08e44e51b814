# The module is all that the environment has in its zone; this root sets the state, the provider and the folder of the host's
# sockets, and zone.tf the zone.
module "stack" {
  source = "../../modules/stack"

  account_id = var.account_id
  zone       = local.zone
  apps       = var.apps
  sockets    = "/run/factory/staging"
}
