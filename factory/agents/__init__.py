"""Coding agents over ACP, and the replay agent."""
