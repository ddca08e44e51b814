"""Users, groups, tokens and roles."""
