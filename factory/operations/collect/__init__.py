"""Collects the facts that gates judge."""
