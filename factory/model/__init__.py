"""Frozen nouns shared by every floor; no I/O."""
