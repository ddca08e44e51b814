"""Reads which versions of a language a manifest accepts: pyproject.toml and package.json. Pure."""

import re

from factory.apps import node_files
from factory.apps.detection import version_files
from factory.apps.detection.reading import Field, Notes, Reading

_EXACT = re.compile(r"(?:[v=^~]|==|~=)?\s*(\d+(?:\.\d+)*)(?:\.[x*])?")
_AT_LEAST = re.compile(r">=\s*(\d+(?:\.\d+)*)")


def pyproject(path: str, text: str) -> Reading:
    """Return what a pyproject.toml says; raises ``InvalidInput`` if it is not TOML."""
    project = version_files.table(path, text).get("project")
    wanted = project.get("requires-python") if isinstance(project, dict) else None
    return _read(path, "python", wanted)


def package(path: str, text: str) -> Reading:
    """Return what a package.json says; raises ``InvalidInput`` if it is not JSON."""
    found = node_files.fields(text.encode())
    engines, volta = found.get("engines"), found.get("volta")
    wanted = engines.get("node") if isinstance(engines, dict) else None
    pinned = volta.get("node") if isinstance(volta, dict) else None
    return _read(path, "node", pinned or wanted)


def _read(path: str, field: Field, wanted: object) -> Reading:
    notes = Notes(path)
    if isinstance(wanted, str) and (found := _EXACT.fullmatch(wanted.strip())):
        notes.add(field, found[1])
    elif isinstance(wanted, str) and (found := _AT_LEAST.match(wanted.strip())):
        notes.add(field, f">={found[1]}")
    return notes.reading()
