"""Reads wrangler's settings: the folder of a site's files and the build command. Pure.

Source: developers.cloudflare.com, Wrangler configuration (assets, build, pages_build_output_dir, main).
"""

import json
from collections.abc import Mapping

from factory.apps.detection import version_files
from factory.apps.detection.reading import Notes, Reading, short
from factory.errors import InvalidInput


def toml(path: str, text: str) -> Reading:
    """Return what a wrangler.toml says; raises ``InvalidInput`` if it is not TOML."""
    return _read(path, version_files.table(path, text))


def jsonc(path: str, text: str) -> Reading:
    """Return what a wrangler.jsonc or wrangler.json says; raises ``InvalidInput`` if it is not JSON with comments."""
    try:
        value = json.loads(plain_json(text.removeprefix("\ufeff")))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: it is not JSON: {short(str(error))}") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{path}: expected an object")
    return _read(path, value)


def plain_json(text: str) -> str:
    """Return JSON without comments and without commas before a closing bracket; text in quotes stays as it is."""
    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == '"':
            end = _after_quotes(text, position)
            found.append(text[position:end])
        elif text.startswith("//", position):
            newline = text.find("\n", position)
            end = len(text) if newline < 0 else newline
        elif text.startswith("/*", position):
            close = text.find("*/", position + 2)
            end = len(text) if close < 0 else close + 2
            found.append(" ")
        else:
            if text[position] in "]}":
                _drop_comma(found)
            found.append(text[position])
            end = position + 1
        position = end
    return "".join(found)


def _after_quotes(text: str, position: int) -> int:
    position += 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1


def _drop_comma(found: list[str]) -> None:
    last = len(found) - 1
    while last >= 0 and found[last].isspace():
        last -= 1
    if last >= 0 and found[last] == ",":
        del found[last]


def _read(path: str, value: Mapping[str, object]) -> Reading:
    notes = Notes(path)
    folder = next(
        (str(found) for found in (_get(value, "assets", "directory"), value.get("pages_build_output_dir")) if found), ""
    ) or str(_get(value, "site", "bucket") or "")
    plain = folder.removeprefix("./").rstrip("/")
    if plain and not plain.startswith(("/", ".")) and ".." not in plain.split("/"):
        notes.add("files", plain)
        if not value.get("main"):
            notes.add("kind", "static")
    elif folder:
        notes.doubt(f"the folder of its files is not below the app: {short(folder)}")
    if command := _get(value, "build", "command"):
        notes.command("build", str(command), named="build.command")
    if value.get("main"):
        notes.doubt("`main` is a Worker, which runs on Cloudflare alone; a release must listen by itself")
    return notes.reading()


def _get(value: Mapping[str, object], table: str, key: str) -> object:
    found = value.get(table)
    return found.get(key) if isinstance(found, dict) else None
