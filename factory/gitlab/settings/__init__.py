"""A project's settings as text: what is, what shall be, what this tier can't hold, and how one becomes the other."""
