"""Reads objects of JSON or YAML key by key; refuses unknown keys, missing keys and values of a wrong type."""

from collections.abc import Sequence
from typing import Any

from factory.errors import InvalidInput

MISSING: Any = object()


class Fields:
    """One object of a document; ``where`` is its place in the document, as keys joined by dots.

    ``keys`` are the allowed keys, or ``None`` for any. Every method raises ``InvalidInput`` naming document and key.
    """

    def __init__(self, value: Any, source: str, where: str, keys: Sequence[str] | None) -> None:
        self.source, self.where = source, where
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.problem("", "expected an object with text keys")
        self.value: dict[str, Any] = value
        for key in value if keys is not None else ():
            if key not in (keys or ()):
                raise self.problem(key, f"unknown key; valid keys: {', '.join(keys or ())}")

    def problem(self, key: str, message: str) -> InvalidInput:
        """Return the error about a key."""
        return InvalidInput(": ".join(part for part in (self.source, self._at(key), message) if part))

    def text(self, key: str, *, default: str | None = None) -> str:
        """Return a text; without a default, it must be present and not empty."""
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
        """Return true or false; false if the key is missing."""
        found = self.value.get(key, False)
        if not isinstance(found, bool):
            raise self.problem(key, "expected true or false")
        return found

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; empty if the key is missing."""
        found = self.value.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.problem(key, "expected a list of texts")
        return found

    def inner(self, key: str, keys: Sequence[str]) -> "Fields | None":
        """Return an object within this object, or ``None`` if the key is missing."""
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
    """Return a JSON object, for ``object_pairs_hook``; raises ``ValueError`` for a duplicate key."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return found
