"""The part of Cloudflare's rules language that the edge reads: equality, prefixes, and ``and``.

``http.host eq "a"``, ``http.request.uri.path eq "/a"``, ``starts_with(http.request.uri.path, "/a")`` and those joined
by ``and``, in one pair of parentheses or none. Anything else is not read, and a rule of it lets requests pass.
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
    """What of a request expressions look at: host in lower case without port, and path."""

    host: str
    path: str


Test = Callable[[RequestFields], bool]


def parse(expression: str) -> Test | None:
    """Return the test that an expression means, or ``None`` where it is not one that the edge reads."""
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
            return lambda seen: all(test(seen) for test in tests)
        join = _AND.match(text, place)
        if join is None:
            return None
        place = join.end()


def _test(field: str, wanted: str, *, prefix: bool) -> Test:
    def test(seen: RequestFields) -> bool:
        value = seen.host if field == "http.host" else seen.path
        return value.startswith(wanted) if prefix else value == wanted

    return test


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
