variables {
  account_id = "0123456789abcdef0123456789abcdef"
  name       = "tunnel-module"
  ingress = [
    { hostname = "api.tunnel-module.test", path = "^/v1/", service = "http://api-abcdef0" },
    { hostname = "www.tunnel-module.test", service = "http://hello-abcdef0" },
  ]
}

run "the_last_rule_matches_everything" {
  assert {
    condition = cloudflare_zero_trust_tunnel_cloudflared_config.this.config.ingress[*].service == tolist([
      "http://api-abcdef0", "http://hello-abcdef0", "http_status:404",
    ])
    error_message = "The rules must keep their order, with the 404 rule last."
  }

  assert {
    condition = (
      cloudflare_zero_trust_tunnel_cloudflared_config.this.config.ingress[0].path == "^/v1/"
      && cloudflare_zero_trust_tunnel_cloudflared_config.this.config.ingress[2].hostname == null
    )
    error_message = "The rules must have their path and hostname."
  }

  assert {
    condition     = output.cname == "${output.id}.cfargotunnel.com"
    error_message = "The CNAME target must contain the tunnel's id."
  }
}

run "without_rules_only_the_404_rule_remains" {
  variables {
    ingress = []
  }

  assert {
    condition     = length(cloudflare_zero_trust_tunnel_cloudflared_config.this.config.ingress) == 1
    error_message = "There must be only the 404 rule."
  }
}

run "an_invalid_service_is_refused" {
  command = plan

  variables {
    ingress = [{ hostname = "www.tunnel-module.test", service = "hello-abcdef0" }]
  }

  expect_failures = [var.ingress]
}

run "a_rule_for_every_hostname_is_refused" {
  command = plan

  variables {
    ingress = [{ hostname = "", service = "http://hello-abcdef0" }]
  }

  expect_failures = [var.ingress]
}
