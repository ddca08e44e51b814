"""Names of branches and tags, their protection, and push rules."""
