"""What an agent told, kept whole: one JSON object a line while it works, compressed once it ended, secrets redacted."""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factory.checks import leaks
from factory.system import clock, files

LIVE = "transcript.jsonl"
KEPT = "transcript.jsonl.gz"
_REDACTED = "[redacted {name}]"


@contextmanager
def recording(folder: Path, secrets: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Give the function that records an event; the transcript is compressed when the block ends, however it ends."""
    path = folder / LIVE
    with files.appender(path) as append:

        def record(event: Mapping[str, Any]) -> None:
            line = json.dumps({"time": clock.timestamp(), **event}, ensure_ascii=False)
            append(redact(line, secrets).encode(errors="replace") + b"\n")

        try:
            yield record
        finally:
            keep(folder)


def keep(folder: Path) -> None:
    """Compress a transcript that is complete; equal content gives equal bytes."""
    path = folder / LIVE
    if path.exists():
        files.write_atomic(folder / KEPT, gzip.compress(files.read_bytes(path), compresslevel=6, mtime=0))
        path.unlink()


def lines(folder: Path) -> list[str]:
    """Return the lines of an attempt's transcript, kept or still growing; none where there is none."""
    if (folder / KEPT).exists():
        return gzip.decompress(files.read_bytes(folder / KEPT)).decode().splitlines()
    return files.read_text(folder / LIVE).splitlines() if (folder / LIVE).exists() else []


def events(folder: Path) -> list[dict[str, Any]]:
    """Return the events of an attempt; a line that a crash cut short is left out."""
    found = []
    for line in lines(folder):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return a text without the given secrets and without what has the shape of one. Pure."""
    for secret in secrets:
        if secret:
            text = text.replace(json.dumps(secret)[1:-1], _REDACTED.format(name="credential"))
    for name, shape in leaks.SHAPES:
        if name != "assigned-secret" and shape.search(text):
            text = shape.sub(_quoted(name), text)
    return text


def _quoted(name: str) -> str:
    return re.sub(r"\\", r"\\\\", _REDACTED.format(name=name))
