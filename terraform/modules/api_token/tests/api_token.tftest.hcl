variables {
  account_id = "0123456789abcdef0123456789abcdef"
  zone_id    = "fedcba9876543210fedcba9876543210"
  name       = "token-module"
  expires_on = timeadd(timestamp(), "720h")
}

run "a_plan_reads_and_an_apply_writes" {
  assert {
    condition     = toset(keys(output.ids)) == toset(["plan", "apply"])
    error_message = "There must be two tokens, plan and apply."
  }

  assert {
    condition = !anytrue([
      for policy in cloudflare_account_token.this["plan"].policies : anytrue([
        for group in policy.permission_groups : contains([
          var.permission_groups.dns_write,
          var.permission_groups.zone_settings_write,
          var.permission_groups.zone_waf_write,
          var.permission_groups.tunnel_write,
        ], group.id)
      ])
    ])
    error_message = "The plan token must not have a write permission."
  }

  assert {
    condition = alltrue([
      for token in cloudflare_account_token.this : toset([for policy in token.policies : policy.resources]) == toset([
        jsonencode({ "com.cloudflare.api.account.zone.${var.zone_id}" = "*" }),
        jsonencode({ "com.cloudflare.api.account.${var.account_id}" = "*" }),
      ])
    ])
    error_message = "The tokens must have access to only one zone and the tunnels of one account."
  }

  assert {
    condition     = length(distinct(values(nonsensitive(output.values)))) == 2
    error_message = "The tokens must have different values."
  }
}

run "another_expiry_replaces_the_tokens" {
  variables {
    expires_on = timeadd(timestamp(), "1440h")
  }

  assert {
    condition     = output.ids.plan != run.a_plan_reads_and_an_apply_writes.ids.plan
    error_message = "A new expiry must replace the token."
  }
}

run "a_token_that_lives_too_long_is_refused" {
  command = plan

  variables {
    expires_on = timeadd(timestamp(), "2400h")
  }

  expect_failures = [cloudflare_account_token.this]
}

run "a_day_without_a_time_is_refused" {
  command = plan

  variables {
    expires_on = "2026-01-31"
  }

  expect_failures = [var.expires_on]
}

run "an_invalid_network_is_refused" {
  command = plan

  variables {
    allowed_addresses = ["everywhere"]
  }

  expect_failures = [var.allowed_addresses]
}
