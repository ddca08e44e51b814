"""Compares a project's settings with the desired state, and applies the differences that its tier supports."""
