"""GitLab's REST API through python-gitlab."""
