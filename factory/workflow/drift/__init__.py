"""Drift of infrastructure and of GitLab settings, reported as issues."""
