"""The launch door: every agent, check and merge-request job starts here."""
