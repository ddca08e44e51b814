"""Reads the JSON report of coverage.py, which the merge request's own job wrote."""

import json
from pathlib import Path

from factory.checks import report
from factory.errors import Refused
from factory.model.facts import Coverage


def read_file(path: Path) -> Coverage:
    """Return the lines in a report file, as ``read``; ``problem`` is also set for a link and a too large file."""
    try:
        return read(report.content(path))
    except Refused as error:
        return Coverage(problem=str(error))


def read(data: bytes | None) -> Coverage:
    """Return executed and missing lines by file; ``problem`` is set if the report is missing or unreadable."""
    if data is None:
        return Coverage(problem="there is no coverage report")
    try:
        found = json.loads(data)["files"]
        executed = tuple((path, _lines(found[path]["executed_lines"])) for path in sorted(found))
        missing = tuple((path, _lines(found[path]["missing_lines"])) for path in sorted(found))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Coverage(problem=f"the coverage report cannot be read: {error}")
    return Coverage(executed, missing)


def written(found: Coverage, prefix: str) -> bytes:
    """Return such a report of other tools' lines, whose paths get a prefix."""
    executed, missing = dict(found.executed), dict(found.missing)
    lines = {
        f"{prefix}{path}": {"executed_lines": executed.get(path, ()), "missing_lines": missing.get(path, ())}
        for path in sorted(executed.keys() | missing.keys())
    }
    return json.dumps({"files": lines}).encode()


def _lines(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
        raise TypeError("lines are not numbers")
    return tuple(sorted(value))
