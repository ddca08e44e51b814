"""Renders values as text with pure functions: tables, markdown, Code Quality, SARIF, Cobertura."""
