"""Reads the files that name the versions of languages: .python-version, .node-version, .nvmrc, mise.toml. Pure."""

import re
import tomllib
from collections.abc import Iterator

from factory.apps.detection.reading import Field, Notes, Reading, short
from factory.errors import InvalidInput

_VERSION = re.compile(r"(?:v|cpython-|python-|node-)?(\d+(?:\.\d+)*)")
_LANGUAGES: dict[str, Field] = {"python": "python", "node": "node", "nodejs": "node"}


def python(path: str, text: str) -> Reading:
    """Return what a .python-version says; raises ``InvalidInput`` if it is empty."""
    return _first(path, text, "python")


def node(path: str, text: str) -> Reading:
    """Return what a .node-version or an .nvmrc says; raises ``InvalidInput`` if it is empty."""
    return _first(path, text, "node")


def mise(path: str, text: str) -> Reading:
    """Return what a mise.toml says; raises ``InvalidInput`` if it is not TOML."""
    notes = Notes(path)
    tools = table(path, text).get("tools", {})
    for name, value in tools.items() if isinstance(tools, dict) else ():
        if name not in _LANGUAGES:
            continue
        for number, version in enumerate(_versions(value)):
            if number:
                notes.doubt(f"it names several versions of {name}; the first is taken")
                break
            _note(notes, _LANGUAGES[name], version)
    return notes.reading()


def table(path: str, text: str) -> dict[str, object]:
    """Return a TOML document; raises ``InvalidInput``."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: it is not TOML: {short(str(error))}") from error


def _versions(value: object) -> Iterator[str]:
    """Yield the versions that mise reads in a value: a text, a number, a table with `version`, or a list of these."""
    if isinstance(value, list):
        for item in value[:2]:
            if not isinstance(item, list):
                yield from _versions(item)
    elif isinstance(value, dict):
        yield str(value.get("version", ""))
    else:
        yield str(value)


def _first(path: str, text: str, field: Field) -> Reading:
    notes = Notes(path)
    plain = [line.partition("#")[0].strip() for line in text.removeprefix("\ufeff").splitlines()]
    found = [line for line in plain if line]
    if not found:
        raise InvalidInput(f"{path}: it names no version")
    _note(notes, field, found[0])
    if len(found) > 1:
        notes.doubt("it names several versions; the first is taken")
    return notes.reading()


def _note(notes: Notes, field: Field, text: str) -> None:
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        notes.doubt(f"{short(text)!r} is not a version of {field} by its number")
    else:
        notes.add(field, found[1])
