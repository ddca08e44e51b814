"""Budget limits of attempts, and the ledger of their costs."""
