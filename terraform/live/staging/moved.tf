# Addresses from before the module stack, so that an older state keeps its objects.
moved {
  from = module.tunnel
  to   = module.stack.module.tunnel
}

moved {
  from = module.dns
  to   = module.stack.module.dns
}

moved {
  from = module.waf
  to   = module.stack.module.waf
}

# The zone was in the module stack.
moved {
  from = module.stack.module.zone
  to   = module.zone
}
