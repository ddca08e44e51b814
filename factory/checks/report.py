"""Reads a file that a job or a check of the change wrote: its author is not trusted."""

from pathlib import Path

from factory.errors import NotFound, Refused
from factory.system import files

LARGEST = 16 * 2**20


def content(path: Path) -> bytes | None:
    """Return a report, ``None`` without one; raises ``Refused`` for a link, or for more than 16 MiB."""
    try:
        data, longer = files.read_untrusted(path, LARGEST)
    except NotFound:
        return None
    if longer:
        raise Refused(f"{path.name} has more than {LARGEST >> 20} MiB")
    return data
