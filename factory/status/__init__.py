"""Reads the project's state from GitLab."""
