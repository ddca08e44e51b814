"""Merge requests and their approvals."""
