"""Reads a file that a job or a check of the change wrote: its author is not trusted."""

from pathlib import Path, PurePosixPath

from factory.errors import InvalidInput, NotFound, Refused
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


def inside(path: str, root: str) -> str:
    """Return a path of a report relative to ``root``, the folder in which its program ran; empty for none.

    With an empty ``root``, no whole path is accepted. Raises ``InvalidInput`` for a path outside that folder.
    """
    path = path.removeprefix(f"{root}/") if root else path
    found = PurePosixPath(path)
    if found.is_absolute() or ".." in found.parts or "\\" in path or not path.isprintable():
        raise InvalidInput(f"the report names {plain(path, 100)!r}, which is not a file of the app")
    return "" if found == PurePosixPath() else found.as_posix()


def plain(text: str, most: int) -> str:
    """Return a text of a report on one line, without control characters, of at most ``most`` characters."""
    words = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    return " ".join(words.split())[:most]
