"""Issues, their notes, discussions and links."""
