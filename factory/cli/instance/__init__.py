"""Commands for the embedded instance: demo, up, down, setup and its servers."""
