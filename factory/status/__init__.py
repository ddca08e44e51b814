"""Read-only views of GitLab and the session table."""
