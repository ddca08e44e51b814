"""Git as the factory uses it: a bare mirror, worktrees, commits, pushes."""
