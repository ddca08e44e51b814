"""Reads what an app's files say of how it is built and run; runs nothing, and decides nothing that a person said."""
