"""The Runner API and the built-in runner."""
