"""In-toto statements in DSSE envelopes, in an append-only Merkle log."""
