"""Simulates Cloudflare's edge: routes requests to releases by DNS records, tunnels and rulesets."""
