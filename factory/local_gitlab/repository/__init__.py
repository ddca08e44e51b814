"""The repository over the API and over git's smart HTTP."""
