"""Runs coding agents (over ACP, as plain commands, in a terminal), and the replay agent."""
