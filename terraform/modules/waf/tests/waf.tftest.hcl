run "zone" {
  module {
    source = "../dns/tests/zone"
  }

  variables {
    name = "waf-module.test"
  }
}

run "custom_rules_are_the_default_and_rate_limits_are_not" {
  variables {
    zone_id = run.zone.id
  }

  assert {
    condition     = cloudflare_ruleset.custom[0].rules[*].ref == tolist(["no_git", "no_env"])
    error_message = "The module's two default rules must exist."
  }

  assert {
    condition     = alltrue([for rule in cloudflare_ruleset.custom[0].rules : rule.action == "block" && rule.enabled])
    error_message = "The default rules must block."
  }

  assert {
    condition     = keys(output.ruleset_ids) == ["custom"]
    error_message = "There must be no ruleset of rate limits."
  }
}

run "in_a_zone_with_other_traffic_custom_rules_apply_only_to_the_given_hostnames" {
  variables {
    zone_id   = run.zone.id
    hostnames = ["www.waf-module.test", "api.waf-module.test"]
  }

  assert {
    condition = (
      cloudflare_ruleset.custom[0].rules[0].expression
      == "(http.host in {\"api.waf-module.test\" \"www.waf-module.test\"}) and (starts_with(http.request.uri.path, \"/.git\"))"
    )
    error_message = "A rule must apply only to the given hostnames."
  }
}

run "each_app_has_its_limit" {
  variables {
    zone_id = run.zone.id
    rate_limits = {
      api   = { hostname = "api.waf-module.test", requests = 60, period = 10, mitigation_timeout = 600 }
      hello = { hostname = "www.waf-module.test", requests = 300 }
    }
  }

  assert {
    condition     = cloudflare_ruleset.rate_limit[0].rules[*].ratelimit.requests_per_period == tolist([60, 300])
    error_message = "Every app must have its number of requests."
  }

  assert {
    condition = (
      cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.period == 60
      && cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.mitigation_timeout == 60
      && cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.characteristics == tolist(["cf.colo.id", "ip.src"])
    )
    error_message = "The default must be one minute, counted per address."
  }

  assert {
    condition     = cloudflare_ruleset.rate_limit[0].rules[0].expression == "(http.host eq \"api.waf-module.test\")"
    error_message = "A limit must apply only to its own hostname."
  }
}

run "without_rules_there_is_no_ruleset" {
  variables {
    zone_id = run.zone.id
    rules   = []
  }

  assert {
    condition     = length(cloudflare_ruleset.custom) == 0 && length(cloudflare_ruleset.rate_limit) == 0
    error_message = "There must be no empty ruleset."
  }
}

run "two_rules_with_one_ref_are_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    rules = [
      { ref = "a", description = "one", expression = "ssl" },
      { ref = "a", description = "two", expression = "ssl" },
    ]
  }

  expect_failures = [var.rules]
}

run "an_invalid_action_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    rules   = [{ ref = "a", description = "one", expression = "ssl", action = "allow" }]
  }

  expect_failures = [var.rules]
}

run "a_limit_of_zero_is_refused" {
  command = plan

  variables {
    zone_id     = run.zone.id
    rate_limits = { hello = { hostname = "www.waf-module.test", requests = 0 } }
  }

  expect_failures = [var.rate_limits]
}

run "an_unsupported_period_is_refused" {
  command = plan

  variables {
    zone_id     = run.zone.id
    rate_limits = { hello = { hostname = "www.waf-module.test", requests = 1, period = 61 } }
  }

  expect_failures = [var.rate_limits]
}

run "a_hostname_that_would_change_the_expression_is_refused" {
  command = plan

  variables {
    zone_id     = run.zone.id
    rate_limits = { hello = { hostname = "a\" or http.host ne \"", requests = 1 } }
  }

  expect_failures = [var.rate_limits]
}
