"""Webhooks: which there are, what they are told and how it is delivered."""
