"""The edge: routes requests to releases as DNS records, tunnels and rulesets say."""
