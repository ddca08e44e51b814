"""What an attempt may cost, and the ledger of what attempts cost."""
