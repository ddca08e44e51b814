"""Reads `specs/`."""
