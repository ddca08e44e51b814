"""Test suites that others wrote for GitLab, run against the loopback GitLab."""
