"""Recorded sessions that the replay agent plays."""
