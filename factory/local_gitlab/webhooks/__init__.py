"""Webhooks: configuration, event payloads and delivery."""
