"""Reads the files that the package carries for a control repository: default policies, locks, guides and templates."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from factory.system import files

FOLDER = Path(__file__).parents[1] / "defaults"
_LEFT = {"__pycache__", ".terraform", ".terraform.lock.hcl"}


@cache
def below(folder: str, *, nested: bool = False) -> Mapping[str, bytes]:
    """Return the files in one of the folders, by their path below ``defaults``, sorted, or those in its subfolders."""
    found = sorted(path for path in (FOLDER / folder).glob("*/*" if nested else "*") if path.is_file())
    return MappingProxyType({path.relative_to(FOLDER).as_posix(): files.read_bytes(path) for path in found})


@cache
def everything() -> Mapping[str, bytes]:
    """Return all files by their path below ``defaults``, those behind links, which a clone of the source has, too."""
    return MappingProxyType({path.relative_to(FOLDER).as_posix(): files.read_bytes(path) for path in under(FOLDER)})


def under(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without what Python and Terraform leave beside them."""
    paths = [Path(place) / name for place, _, names in os.walk(folder, followlinks=True) for name in names]
    return sorted(path for path in paths if not _LEFT & set(path.relative_to(folder).parts) and path.suffix != ".pyc")


def read(path: str) -> bytes:
    """Return the content of one file by its path below ``defaults``."""
    return files.read_bytes(FOLDER / path)
