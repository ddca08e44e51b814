# The module is the whole environment; this root sets the zone, the state and the provider.
module "stack" {
  source = "../../modules/stack"

  account_id   = var.account_id
  zone         = var.zone
  apps         = var.apps
  rate_limited = var.rate_limited
}
