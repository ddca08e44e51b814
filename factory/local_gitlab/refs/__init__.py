"""Names and protection of branches and tags, and push rules."""
