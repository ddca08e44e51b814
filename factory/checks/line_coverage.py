"""Reads which lines an app's own tests ran: an LCOV or a Cobertura report, told apart by their content.

A command of the change wrote the report: its author is not trusted.
"""

import re
from collections import defaultdict
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from factory.checks import report
from factory.errors import InvalidInput
from factory.model.facts import Coverage

_MOST = 1_000_000
_LINE = re.compile(r"(\d{1,9}),(-?\d{1,18})(?:,.*)?")
_Lines = dict[str, dict[int, bool]]


def read(data: bytes, root: str) -> Coverage:
    """Return executed and missing lines by file, with paths below ``root``, the folder in which the tests ran.

    Raises ``InvalidInput`` if the report cannot be read, has no line, or names a file outside ``root``.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = _cobertura(text, root) if text.startswith(b"<") else _lcov(text, root)
    total = sum(map(len, found.values()))
    if not total:
        raise InvalidInput("the coverage report has no line")
    if total > _MOST:
        raise InvalidInput(f"the coverage report has more than {_MOST} lines")
    return Coverage(_those(found, ran=True), _those(found, ran=False))


def _those(found: _Lines, *, ran: bool) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((path, tuple(sorted(n for n, hit in lines.items() if hit is ran))) for path, lines in found.items())


def _lcov(data: bytes, root: str) -> _Lines:
    """Read the records ``SF`` (file), ``DA`` (line, hits) and ``end_of_record`` (geninfo(1))."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise InvalidInput("the coverage report is not UTF-8 text") from error
    found: _Lines = defaultdict(dict)
    path = ""
    for number, line in enumerate(lines, 1):
        key, _, value = line.strip().partition(":")
        if key == "SF":
            path = report.inside(value, root)
        elif key == "end_of_record":
            path = ""
        elif key == "DA":
            place = _LINE.fullmatch(value)
            if place is None or not path:
                raise InvalidInput(f"the coverage report is neither LCOV nor Cobertura: line {number}")
            _count(found[path], int(place[1]), int(place[2]))
    return found


def _cobertura(data: bytes, root: str) -> _Lines:
    """Read the elements ``class`` with their lines; the file names are below the first ``source`` (cobertura DTD)."""
    if b"\0" in data or b"<!ENTITY" in data:
        raise InvalidInput("the coverage report declares XML entities, or is not UTF-8 text")
    try:
        tree = ET.fromstring(data)  # noqa: S314 - entities are refused above
    except (ET.ParseError, LookupError, ValueError) as error:
        raise InvalidInput(f"the coverage report is not XML: {report.plain(str(error), 200)}") from error
    source = next((text for item in tree.iterfind("sources/source") if (text := (item.text or "").strip())), "")
    found: _Lines = defaultdict(dict)
    for item in tree.iter("class"):
        path = report.inside(str(PurePosixPath(source, item.get("filename", ""))), root)
        for line in item.iterfind("lines/line"):
            place = _LINE.fullmatch(f"{line.get('number')},{line.get('hits')}")
            if place is None or not path:
                raise InvalidInput("the coverage report has a line without its number or hits")
            _count(found[path], int(place[1]), int(place[2]))
    return found


def _count(lines: dict[int, bool], number: int, hits: int) -> None:
    lines[number] = lines.get(number, False) or hits > 0
