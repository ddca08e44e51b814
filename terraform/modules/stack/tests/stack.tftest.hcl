variables {
  account_id = "0123456789abcdef0123456789abcdef"
  zone       = { id = "0123456789abcdef0123456789abcdef", name = "stack-module.test" }
  sockets    = "/run/factory/test"
  apps = {
    api   = { hostname = "api.stack-module.test", release = "api-cccccccccccc", requests_per_minute = 60 }
    hello = { hostname = "www.stack-module.test", release = "hello-aaaaaaaaaaaa" }
  }
}

# These tests only plan, because no zone has that id.
run "each_app_has_its_hostname_and_release" {
  command = plan

  assert {
    condition     = output.hostnames == { api = "api.stack-module.test", hello = "www.stack-module.test" }
    error_message = "The hostnames must be those of the apps."
  }

  assert {
    condition     = output.releases == { api = "api-cccccccccccc", hello = "hello-aaaaaaaaaaaa" }
    error_message = "The releases must be those of the apps."
  }
}

run "the_rules_name_the_sockets_of_each_release" {
  command = plan

  assert {
    condition = local.sockets == {
      api   = "unix:/run/factory/test/api-cccccccccccc"
      hello = "unix:/run/factory/test/hello-aaaaaaaaaaaa"
    }
    error_message = "The sockets must be in the environment's folder, named by app and 12 digits of the commit."
  }
}

run "a_folder_that_is_no_absolute_path_is_refused" {
  command = plan

  variables {
    sockets = "run/factory"
  }

  expect_failures = [var.sockets]
}

run "a_hostname_outside_the_zone_is_refused" {
  command = plan

  variables {
    apps = { hello = { hostname = "www.other.test", release = "hello-aaaaaaaaaaaa" } }
  }

  expect_failures = [var.apps]
}

run "two_apps_with_one_hostname_are_refused" {
  command = plan

  variables {
    apps = {
      api   = { hostname = "www.stack-module.test", release = "api-cccccccccccc" }
      hello = { hostname = "www.stack-module.test", release = "hello-aaaaaaaaaaaa" }
    }
  }

  expect_failures = [var.apps]
}

run "a_release_without_a_commit_is_refused" {
  command = plan

  variables {
    apps = { hello = { hostname = "www.stack-module.test", release = "hello-xyz" } }
  }

  expect_failures = [var.apps]
}

run "a_zone_that_was_there_keeps_its_settings_and_rules" {
  command = plan

  variables {
    zone = {
      id           = "0123456789abcdef0123456789abcdef"
      name         = "stack-module.test"
      tunnel       = "stack-module.test-staging"
      shared       = true
      custom_rules = false
      rate_limited = false
    }
  }

  assert {
    condition     = length(cloudflare_zone_setting.this) == 0 && module.waf.ruleset_ids == {}
    error_message = "Neither a setting nor a ruleset may be planned."
  }
}

run "a_shared_zone_has_no_rules_without_an_app" {
  command = plan

  variables {
    apps = {}
    zone = {
      id     = "0123456789abcdef0123456789abcdef"
      name   = "stack-module.test"
      tunnel = "stack-module.test-staging"
      shared = true
    }
  }

  assert {
    condition     = module.waf.ruleset_ids == {}
    error_message = "A rule without a hostname would be one of the whole zone."
  }
}

run "only_the_listed_settings_are_set" {
  command = plan

  variables {
    zone = {
      id       = "0123456789abcdef0123456789abcdef"
      name     = "stack-module.test"
      settings = { http3 = "on" }
    }
  }

  assert {
    condition     = keys(cloudflare_zone_setting.this) == ["http3"]
    error_message = "Only the listed setting may be planned."
  }
}
