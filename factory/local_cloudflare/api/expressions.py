"""Parses the part of Cloudflare's rules language that the edge supports: equality, sets, prefixes and ``and``.

The supported tests are ``http.host eq "a"``, ``http.host in {"a" "b"}``, ``http.request.uri.path eq "/a"`` and
``starts_with(http.request.uri.path, "/a")``, joined by ``and``. Parentheses may stand around each test and around all.
Requests pass a rule with any other expression.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TEXT = r'"(?:[^"\\]|\\["\\])*"'
_FIELD = r"(http\.host|http\.request\.uri\.path)"
_EQUAL = re.compile(rf"{_FIELD}\s+(?:eq|==)\s+({_TEXT})")
_ONE_OF = re.compile(rf"{_FIELD}\s+in\s+\{{\s*((?:{_TEXT}\s*)+)\}}")
_PREFIX = re.compile(rf"starts_with\(\s*{_FIELD}\s*,\s*({_TEXT})\s*\)")
_AND = re.compile(r"\s+(?:and|&&)\s+")
_OPEN, _CLOSE = re.compile(r"\(\s*"), re.compile(r"\s*\)")
_TEXTS = re.compile(_TEXT)


@dataclass(frozen=True)
class RequestFields:
    """The fields of a request that expressions can test: host (lower case, without port) and path."""

    host: str
    path: str


Test = Callable[[RequestFields], bool]


def parse(expression: str) -> Test | None:
    """Return the test for an expression, or ``None`` if the edge does not support the expression."""
    text = expression.strip()
    whole = _conjunction(text)
    if whole is None and text.startswith("(") and text.endswith(")"):
        whole = _conjunction(text[1:-1].strip())
    return whole


def _conjunction(text: str) -> Test | None:
    tests: list[Test] = []
    place = 0
    while True:
        opened = _OPEN.match(text, place)
        place = opened.end() if opened else place
        found = _EQUAL.match(text, place) or _ONE_OF.match(text, place) or _PREFIX.match(text, place)
        closed = _CLOSE.match(text, found.end()) if found and opened else None
        if found is None or (opened and not closed):
            return None
        tests.append(
            _test(found[1], [_plain(each[0][1:-1]) for each in _TEXTS.finditer(found[2])], prefix=found.re is _PREFIX)
        )
        place = closed.end() if closed else found.end()
        if place == len(text):
            return lambda fields: all(test(fields) for test in tests)
        join = _AND.match(text, place)
        if join is None:
            return None
        place = join.end()


def _test(field: str, expected: Sequence[str], *, prefix: bool) -> Test:
    def test(fields: RequestFields) -> bool:
        value = fields.host if field == "http.host" else fields.path
        return value.startswith(tuple(expected)) if prefix else value in expected

    return test


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
