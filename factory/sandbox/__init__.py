"""The launch door, through which every agent, local check and merge-request job starts, and its parts."""
