"""What every route shares: HTTP, calls, lists, the store and git."""
