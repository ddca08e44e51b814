"""Reads `policies/` and decides; evaluation is pure and fails closed."""
