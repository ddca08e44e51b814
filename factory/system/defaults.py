"""Reads the files that the package carries for a control repository: default policies, locks, guides and templates."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from factory.system import files

FOLDER = Path(__file__).parents[1] / "defaults"


@cache
def below(folder: str, *, nested: bool = False) -> Mapping[str, bytes]:
    """Return the files in one of the folders, by their path below ``defaults``, sorted, or those in its subfolders."""
    found = sorted(path for path in (FOLDER / folder).glob("*/*" if nested else "*") if path.is_file())
    return MappingProxyType({path.relative_to(FOLDER).as_posix(): files.read_bytes(path) for path in found})


def read(path: str) -> bytes:
    """Return the content of one file by its path below ``defaults``."""
    return files.read_bytes(FOLDER / path)
