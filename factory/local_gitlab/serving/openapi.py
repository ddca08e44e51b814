"""Path and HTTP methods of the server's OpenAPI 3.0 description."""

from pathlib import Path

FILE = Path(__file__).parent / "openapi.yml"
METHODS = frozenset({"get", "post", "put", "patch", "delete"})
