"""A folder for PYTHONPATH, whose one module every Python of a run imports at its start."""
