"""How a session claims an issue: lease, intake, spec and questions."""
