"""What takes longer than `make test-long`: every row, seeded defects, random kills."""
