"""Commands for a control repository: init, upgrade, app."""
