"""A zone with mail, other people's records, rules and settings, in a loopback Cloudflare."""

import json
from typing import Any

from tests.local_cloudflare.double import ACCOUNT, Double

ZONE = "acme.com"
# Cloudflare's phase, and a rule that somebody made in the dashboard.
CUSTOM, RATE = "http_request_firewall_custom", "http_ratelimit"
FOREIGN_RULE = {
    "action": "managed_challenge",
    "expression": '(ip.src.country eq "XX" and not cf.client.bot)',
    "description": "Challenge XX",
}
_DKIM = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"


def records() -> list[dict[str, Any]]:
    """Return 40 records of all common types."""
    found: list[dict[str, Any]] = [
        {"type": "A", "name": "@", "content": "192.0.2.1", "proxied": True},
        {"type": "AAAA", "name": "@", "content": "2001:db8::1", "proxied": True},
        {"type": "A", "name": "www", "content": "192.0.2.2", "proxied": True, "comment": "the old server"},
        {"type": "A", "name": "legacy", "content": "192.0.2.3", "ttl": 300},
        {"type": "MX", "name": "@", "content": "mx1.mail.example", "priority": 10},
        {"type": "MX", "name": "@", "content": "mx2.mail.example", "priority": 20},
        {"type": "TXT", "name": "@", "content": "v=spf1 include:_spf.mail.example -all"},
        {"type": "TXT", "name": "_dmarc", "content": "v=DMARC1; p=reject; rua=mailto:dmarc@acme.com"},
        {"type": "TXT", "name": "@", "content": "google-site-verification=abcdef", "tags": ["owner:marketing"]},
        {"type": "TXT", "name": "_acme-challenge", "content": "token", "ttl": 60},
        {"type": "TXT", "name": "s1._domainkey", "content": _DKIM},
        {"type": "CNAME", "name": "k1._domainkey", "content": "dkim.mail.example"},
        {"type": "CNAME", "name": "k2._domainkey", "content": "dkim2.mail.example"},
        {"type": "CNAME", "name": "status", "content": "pages.example.net"},
        {"type": "CNAME", "name": "shop", "content": "shops.example.net", "proxied": True},
        {"type": "NS", "name": "dev", "content": "ns1.dns.example"},
        {"type": "NS", "name": "dev", "content": "ns2.dns.example"},
        {"type": "CAA", "name": "@", "data": {"flags": 0, "tag": "issue", "value": "letsencrypt.org"}},
        {"type": "CAA", "name": "@", "data": {"flags": 0, "tag": "iodef", "value": "mailto:security@acme.com"}},
        {
            "type": "SRV",
            "name": "_sip._tcp",
            "data": {"priority": 1, "weight": 5, "port": 5060, "target": "sip.acme.com"},
        },
        {
            "type": "SRV",
            "name": "_imaps._tcp",
            "data": {"priority": 0, "weight": 1, "port": 993, "target": "imap.acme.com"},
        },
    ]
    hosts = ({"type": "A", "name": f"host{number}", "content": f"192.0.2.{100 + number}"} for number in range(19))
    return [*found, *hosts]


def make(double: Double, *, plan: str = "pro", phases: tuple[str, ...] = (CUSTOM,), name: str = ZONE) -> str:
    """Make the zone with its records, rules in ``phases`` and settings; return its id."""
    zone: str = double.result("POST", "/zones", json={"name": name, "account": {"id": ACCOUNT}})["id"]
    double.result("POST", f"/zones/{zone}/subscription", json={"rate_plan": {"id": plan}})
    for record in records():
        double.result("POST", f"/zones/{zone}/dns_records", json=record)
    for phase in phases:
        body = {"name": "default", "kind": "zone", "phase": phase, "rules": [rule(phase)]}
        double.result("POST", f"/zones/{zone}/rulesets", json=body)
    for setting, value in {"ssl": "flexible", "min_tls_version": "1.0", "always_use_https": "off"}.items():
        double.result("PATCH", f"/zones/{zone}/settings/{setting}", json={"value": value})
    return zone


def rule(phase: str) -> dict[str, Any]:
    """Return a rule of somebody else for a phase."""
    if phase == CUSTOM:
        return FOREIGN_RULE
    limit = {
        "characteristics": ["cf.colo.id", "ip.src"],
        "period": 10,
        "requests_per_period": 9,
        "mitigation_timeout": 10,
    }
    return {"action": "block", "expression": 'http.request.uri.path eq "/login"', "ratelimit": limit}


def dump(double: Double, zone: str, *, without: tuple[str, ...] = ()) -> str:
    """Return everything of a zone as the API shows it, but for the records of the hostnames ``without``."""
    listed = double.result("GET", f"/zones/{zone}/dns_records?per_page=500")
    rulesets = [
        double.result("GET", f"/zones/{zone}/rulesets/{each['id']}")
        for each in double.result("GET", f"/zones/{zone}/rulesets")
        if each["name"] == "default"
    ]
    value = {
        "zone": double.result("GET", f"/zones/{zone}"),
        "records": [each for each in listed if each["name"] not in without],
        "rulesets": rulesets,
        "settings": double.result("GET", f"/zones/{zone}/settings"),
    }
    return json.dumps(value, indent=1)
