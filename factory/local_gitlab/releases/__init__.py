"""Releases, tags and packages."""
