"""Commands for control repositories: init, upgrade, app."""
