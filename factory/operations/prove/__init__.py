"""Proves the factory on a GitLab and a Cloudflare, in a throwaway project, and deletes all that it made."""
