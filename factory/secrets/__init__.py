"""Where tokens and keys are kept, by provider."""
