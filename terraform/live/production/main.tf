# The whole environment is one module; this root gives it its zone, its state and its provider.
module "stack" {
  source = "../../modules/stack"

  account_id   = var.account_id
  zone         = var.zone
  apps         = var.apps
  rate_limited = var.rate_limited
}
