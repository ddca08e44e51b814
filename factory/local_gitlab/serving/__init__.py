"""Code that all routes share: HTTP, calls, lists, the store and git."""
