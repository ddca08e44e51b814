"""What hosts say of the releases that they run, and how it is read before any traffic moves."""
