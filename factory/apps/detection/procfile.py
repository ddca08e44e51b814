"""Reads a Procfile: its process `web`. Pure. Source: devcenter.heroku.com, The Procfile."""

import re

from factory.apps.detection.reading import Notes, Reading
from factory.errors import InvalidInput

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+?)\s*")


def read(path: str, text: str) -> Reading:
    """Return what a Procfile says; raises ``InvalidInput`` for a line that names no process."""
    notes = Notes(path)
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise InvalidInput(f"{path}:{number}: the line is not like `web: command`")
        if found[1] == "web":
            notes.command("run", found[2], named="`web`")
        else:
            notes.doubt(f"the process {found[1]} is not part of a release")
    return notes.reading()
