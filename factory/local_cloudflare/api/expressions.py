"""Parses the part of Cloudflare's rules language that the edge supports: equality, prefixes and ``and``.

The supported tests are ``http.host eq "a"``, ``http.request.uri.path eq "/a"`` and
``starts_with(http.request.uri.path, "/a")``, joined by ``and``, with or without one pair of parentheses around all.
Requests pass a rule with any other expression.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_TEXT = r'"((?:[^"\\]|\\["\\])*)"'
_FIELD = r"(http\.host|http\.request\.uri\.path)"
_EQUAL = re.compile(rf"{_FIELD}\s+(?:eq|==)\s+{_TEXT}")
_PREFIX = re.compile(rf"starts_with\(\s*{_FIELD}\s*,\s*{_TEXT}\s*\)")
_AND = re.compile(r"\s+(?:and|&&)\s+")


@dataclass(frozen=True)
class RequestFields:
    """The fields of a request that expressions can test: host (lower case, without port) and path."""

    host: str
    path: str


Test = Callable[[RequestFields], bool]


def parse(expression: str) -> Test | None:
    """Return the test for an expression, or ``None`` if the edge does not support the expression."""
    text = expression.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    tests: list[Test] = []
    place = 0
    while True:
        found = _EQUAL.match(text, place) or _PREFIX.match(text, place)
        if found is None:
            return None
        tests.append(_test(found[1], _plain(found[2]), prefix=found.re is _PREFIX))
        place = found.end()
        if place == len(text):
            return lambda fields: all(test(fields) for test in tests)
        join = _AND.match(text, place)
        if join is None:
            return None
        place = join.end()


def _test(field: str, expected: str, *, prefix: bool) -> Test:
    def test(fields: RequestFields) -> bool:
        value = fields.host if field == "http.host" else fields.path
        return value.startswith(expected) if prefix else value == expected

    return test


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
