run "zone" {
  module {
    source = "../dns/tests/zone"
  }

  variables {
    name = "waf-module.test"
  }
}

run "there_are_custom_rules_and_no_limits_where_nobody_asks" {
  variables {
    zone_id = run.zone.id
  }

  assert {
    condition     = cloudflare_ruleset.custom[0].rules[*].ref == tolist(["no_git", "no_env"])
    error_message = "The two rules of the module are set."
  }

  assert {
    condition     = alltrue([for rule in cloudflare_ruleset.custom[0].rules : rule.action == "block" && rule.enabled])
    error_message = "They block."
  }

  assert {
    condition     = keys(output.ruleset_ids) == ["custom"]
    error_message = "There is no ruleset of rate limits."
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
    error_message = "Every app has the number that it asks for."
  }

  assert {
    condition = (
      cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.period == 60
      && cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.mitigation_timeout == 60
      && cloudflare_ruleset.rate_limit[0].rules[1].ratelimit.characteristics == tolist(["cf.colo.id", "ip.src"])
    )
    error_message = "An address counts, in a minute where nothing else is said."
  }

  assert {
    condition     = cloudflare_ruleset.rate_limit[0].rules[0].expression == "(http.host eq \"api.waf-module.test\")"
    error_message = "A limit looks at its own hostname."
  }
}

run "without_rules_there_is_no_ruleset" {
  variables {
    zone_id = run.zone.id
    rules   = []
  }

  assert {
    condition     = length(cloudflare_ruleset.custom) == 0 && length(cloudflare_ruleset.rate_limit) == 0
    error_message = "An empty ruleset is not kept."
  }
}

run "two_rules_of_one_ref_are_refused" {
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

run "an_action_that_is_none_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    rules   = [{ ref = "a", description = "one", expression = "ssl", action = "allow" }]
  }

  expect_failures = [var.rules]
}

run "a_limit_of_nothing_is_refused" {
  command = plan

  variables {
    zone_id     = run.zone.id
    rate_limits = { hello = { hostname = "www.waf-module.test", requests = 0 } }
  }

  expect_failures = [var.rate_limits]
}

run "a_period_that_cloudflare_has_not_is_refused" {
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
