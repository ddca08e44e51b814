# Addresses from before the module stack, so that an older state keeps its objects.
moved {
  from = module.zone
  to   = module.stack.module.zone
}

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
