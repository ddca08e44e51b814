variables {
  account_id = "0123456789abcdef0123456789abcdef"
  name       = "zone-module.test"
}

run "a_zone_has_sane_settings" {
  command = plan

  assert {
    condition = { for name, setting in cloudflare_zone_setting.this : name => setting.value } == {
      always_use_https         = "on"
      automatic_https_rewrites = "on"
      min_tls_version          = "1.2"
      ssl                      = "strict"
      tls_1_3                  = "on"
    }
    error_message = "The five default settings must be set."
  }

  assert {
    condition     = cloudflare_zone.this.name == "zone-module.test" && cloudflare_zone.this.type == "full"
    error_message = "The zone must have its name and the type full."
  }
}

run "stronger_and_additional_settings_are_accepted" {
  command = plan

  variables {
    settings = { min_tls_version = "1.3", tls_1_3 = "zrt", http3 = "on" }
  }

  assert {
    condition = (
      length(cloudflare_zone_setting.this) == 6
      && cloudflare_zone_setting.this["min_tls_version"].value == "1.3"
      && cloudflare_zone_setting.this["ssl"].value == "strict"
      && cloudflare_zone_setting.this["http3"].value == "on"
    )
    error_message = "The given settings must be merged with the defaults."
  }
}

run "ssl_that_trusts_any_origin_is_refused" {
  command = plan

  variables {
    settings = { ssl = "full" }
  }

  expect_failures = [var.settings]
}

run "old_tls_is_refused" {
  command = plan

  variables {
    settings = { min_tls_version = "1.1" }
  }

  expect_failures = [var.settings]
}

run "tls_1_3_switched_off_is_refused" {
  command = plan

  variables {
    settings = { tls_1_3 = "off" }
  }

  expect_failures = [var.settings]
}

run "plain_http_is_refused" {
  command = plan

  variables {
    settings = { always_use_https = "off" }
  }

  expect_failures = [var.settings]
}

run "an_invalid_domain_is_refused" {
  command = plan

  variables {
    name = "Zone Module"
  }

  expect_failures = [var.name]
}

run "an_invalid_account_is_refused" {
  command = plan

  variables {
    account_id = "hello"
  }

  expect_failures = [var.account_id]
}
