"""The workflows: which steps deliver an issue and ship a merge request, and in which order."""
