run "zone" {
  module {
    source = "./tests/zone"
  }

  variables {
    name = "dns-module.test"
  }
}

run "only_records_that_lead_to_a_tunnel_are_proxied" {
  variables {
    zone_id = run.zone.id
    records = {
      www  = { name = "www.dns-module.test", type = "CNAME", content = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415.cfargotunnel.com" }
      dkim = { name = "k1._domainkey.dns-module.test", type = "CNAME", content = "dkim.mail.example" }
      home = { name = "home.dns-module.test", type = "AAAA", content = "2001:db8::1" }
      site = { name = "site.dns-module.test", type = "A", content = "192.0.2.2", proxied = true }
      bare = { name = "bare.dns-module.test", type = "A", content = "192.0.2.1", proxied = false, ttl = 300 }
      mail = { name = "dns-module.test", type = "MX", content = "mail.example.com", priority = 10 }
      spf  = { name = "dns-module.test", type = "TXT", content = "v=spf1 -all", comment = "no mail from here" }
    }
  }

  assert {
    condition = { for key, record in cloudflare_dns_record.this : key => record.proxied } == {
      www = true, site = true, dkim = false, home = false, bare = false, mail = false, spf = false
    }
    error_message = "Only the record of the tunnel, and the record that says so, must be proxied."
  }

  assert {
    condition     = cloudflare_dns_record.this["bare"].ttl == 300 && cloudflare_dns_record.this["www"].ttl == 1
    error_message = "The ttl must be the given one, or 1 (automatic)."
  }

  assert {
    condition     = toset(keys(output.ids)) == toset(["www", "dkim", "home", "site", "bare", "mail", "spf"])
    error_message = "Every record must have an id."
  }
}

run "an_unsupported_type_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    records = { srv = { name = "_sip._tcp.dns-module.test", type = "SRV", content = "x" } }
  }

  expect_failures = [var.records]
}

run "a_proxied_record_with_a_ttl_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    records = { www = { name = "www.dns-module.test", type = "A", content = "192.0.2.1", proxied = true, ttl = 300 } }
  }

  expect_failures = [var.records]
}

run "a_ttl_out_of_range_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    records = { txt = { name = "dns-module.test", type = "TXT", content = "x", ttl = 59 } }
  }

  expect_failures = [var.records]
}

run "an_mx_record_without_priority_is_refused" {
  command = plan

  variables {
    zone_id = run.zone.id
    records = { mail = { name = "dns-module.test", type = "MX", content = "mail.example.com" } }
  }

  expect_failures = [var.records]
}
