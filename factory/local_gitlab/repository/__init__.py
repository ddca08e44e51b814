"""Access to repositories: the API and git's smart HTTP."""
