"""Writes what was detected as the first lines of an app's file. Pure."""

import json

from factory.apps.detection.detect import Detected
from factory.apps.detection.reading import Clue
from factory.apps.resolved import ResolvedApp

_INTRO = "# What the app needs; `factory app show` prints what else follows from its files."
# A command in these is read as a default already.
_DEFAULTS = {"Procfile"}


def draft(found: Detected, plain: ResolvedApp | None) -> bytes:
    """Return the lines of an `app.yml`, empty if there is nothing to write.

    ``plain`` is the app as its files alone give it; ``None`` if they leave something open. A line names its source.
    """
    lines: list[str] = []
    kind, files = found.clue("kind"), found.clue("files")
    if kind is not None and plain is None:
        lines.append(_line("kind", kind.text, kind))
        if kind.text == "static" and files is not None:
            lines.append(f"build: {{files: {json.dumps(list(files.value))}}}  # {files.source}")
    run, health = found.clue("run"), found.clue("health")
    if run is not None and run.source not in _DEFAULTS and (plain is None or plain.run != run.value):
        lines.append(_line("run", json.dumps(list(run.value)), run))
    if health is not None and health.text != "/":
        lines.append(_line("health", json.dumps(health.text), health))
    return ("\n".join([_INTRO, *lines]) + "\n").encode() if lines else b""


def _line(field: str, value: str, clue: Clue) -> str:
    return f"{field}: {value}  # {clue.source}"
