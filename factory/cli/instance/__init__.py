"""Commands for the embedded instance: demo, up, down, setup, and the servers that they start."""
