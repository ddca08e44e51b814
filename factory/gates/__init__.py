"""Pure judges of facts, one file per gate, one registry."""
