"""Objects of JSON or YAML, read key by key: an unknown key, a missing one or a value of another type is refused."""

from collections.abc import Sequence
from typing import Any

from factory.errors import InvalidInput

MISSING: Any = object()


class Fields:
    """One object of a document; ``where`` is its place there, as keys with dots between them.

    ``keys`` are those it may have, or ``None`` for any. Every method raises ``InvalidInput`` naming document and key.
    """

    def __init__(self, value: Any, source: str, where: str, keys: Sequence[str] | None) -> None:
        self.source, self.where = source, where
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.problem("", "expected an object with text keys")
        self.value: dict[str, Any] = value
        for key in value if keys is not None else ():
            if key not in (keys or ()):
                raise self.problem(key, f"there is no such key; there are {', '.join(keys or ())}")

    def problem(self, key: str, message: str) -> InvalidInput:
        """Return the error about a key."""
        return InvalidInput(": ".join(part for part in (self.source, self._at(key), message) if part))

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text; one without a default must be there and not be empty."""
        found = self.value.get(key, default)
        if not isinstance(found, str) or (default is None and not found.strip()):
            raise self.problem(key, "expected a text")
        return found

    def whole(self, key: str, *, default: int | None = None) -> int:
        """Return a whole number of at least 0."""
        found = self.value.get(key, default)
        if type(found) is not int or found < 0:
            raise self.problem(key, "expected a whole number of at least 0")
        return found

    def flag(self, key: str) -> bool:
        """Return true or false; a missing one is false."""
        found = self.value.get(key, False)
        if not isinstance(found, bool):
            raise self.problem(key, "expected true or false")
        return found

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; a missing one is empty."""
        found = self.value.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.problem(key, "expected a list of texts")
        return found

    def inner(self, key: str, keys: Sequence[str]) -> "Fields | None":
        """Return an object within this one, or ``None`` where it is missing."""
        return Fields(self.value[key], self.source, self._at(key), keys) if key in self.value else None

    def each(self, key: str, keys: Sequence[str] | None, *, default: Sequence[Any] = MISSING) -> "list[Fields]":
        """Return the objects of a list."""
        found = self.value.get(key, default)
        if not isinstance(found, list | tuple):
            raise self.problem(key, "expected a list of objects")
        return [Fields(item, self.source, f"{self._at(key)}.{number}", keys) for number, item in enumerate(found)]

    def _at(self, key: str) -> str:
        return ".".join(part for part in (self.where, key) if part)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, for ``object_pairs_hook``; raises ``ValueError`` where a key is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found
