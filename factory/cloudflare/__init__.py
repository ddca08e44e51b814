"""Reads zones by Cloudflare's API; nothing here writes."""
