"""Git access through GitPython: a bare mirror, worktrees, commits, pushes."""
