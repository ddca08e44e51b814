"""Evaluations: recorded issues that agents, models and briefs work on, and how the results compare."""
