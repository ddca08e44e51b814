"""Evaluations: run agents, models and briefs on recorded issues, and compare the results."""
