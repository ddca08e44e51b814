"""The results of a session's attempts on this machine: the file ``turn.json`` in each attempt's folder."""

import re
from pathlib import Path

from factory.model.attempt import AttemptResult
from factory.system import data, files

_FILE = "turn.json"
# An attempt that was lost or cancelled is renamed (attempt-1-lost-1, attempt-1-ended-1) and is none of the results.
_FOLDER = re.compile(r"attempt-([1-9][0-9]*)")


def write(folder: Path, result: AttemptResult) -> AttemptResult:
    """Write an attempt's result to its folder, and return it."""
    files.write_atomic(folder / _FILE, data.write(result))
    return result


def read(folder: Path) -> AttemptResult | None:
    """Return the result in an attempt's folder, or ``None`` if the attempt has not ended; raises ``InvalidInput``."""
    path = folder / _FILE
    return data.parse(AttemptResult, files.read_bytes(path), source=str(path)) if path.exists() else None


def read_all(session: Path) -> tuple[AttemptResult, ...]:
    """Return the results in a session's folder by the number of the attempt; raises ``InvalidInput``."""
    numbers = sorted(int(match[1]) for path in files.subfolders(session) if (match := _FOLDER.fullmatch(path.name)))
    found = (read(session / f"attempt-{number}") for number in numbers)
    return tuple(result for result in found if result is not None)
