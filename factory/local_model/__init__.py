"""Simulates a model on loopback: answers coding agents from a script, in their wire formats."""
