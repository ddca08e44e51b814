"""Where the server's description is, and how to read it (OpenAPI 3.0)."""

from pathlib import Path

FILE = Path(__file__).parent / "openapi.yml"
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
