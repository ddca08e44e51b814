"""Runs tools and collects facts for the gates."""
