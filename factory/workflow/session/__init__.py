"""Runs a session: its attempts, the agent's brief and environment, supervision, and the end of the session."""
