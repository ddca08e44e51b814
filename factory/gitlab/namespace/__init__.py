"""What belongs to the top-level namespace of a project: compute minutes and service accounts."""
