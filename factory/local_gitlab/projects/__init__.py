"""Projects, their settings, approval rules, milestones and templates."""
