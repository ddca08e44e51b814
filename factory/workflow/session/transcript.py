"""Stores all events of an attempt as JSON lines without secrets, compressed after the attempt has ended."""

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from factory.system import clock, files
from factory.workflow.session.redaction import Event, Stream

LIVE = "transcript.jsonl"
KEPT = "transcript.jsonl.gz"
_CHUNK = 1024 * 1024
_GZIP = 31  # zlib's value for the gzip format; it sets the modification time to 0


@contextmanager
def recording(folder: Path, secrets: Sequence[str]) -> Iterator[Callable[[Event], None]]:
    """Yield the function that records an event; compress the transcript when the block ends, even by an exception.

    Several threads may call the function. ``secrets`` may grow while the block runs.
    """
    stream, lock = Stream(secrets), threading.Lock()
    with files.appender(folder / LIVE) as append:

        def write(ready: list[Event]) -> None:
            for event in ready:
                append(json.dumps(event, ensure_ascii=False).encode(errors="replace") + b"\n")

        def record(event: Event) -> None:
            with lock:
                write(stream.pass_on({"time": clock.timestamp(), **event}))

        try:
            yield record
        finally:
            with lock:
                write(stream.let_go())
            keep(folder)


def keep(folder: Path) -> None:
    """Compress a complete transcript; equal content gives equal bytes."""
    path = folder / LIVE
    if path.exists():
        files.write_atomic(folder / KEPT, b"".join(_compressed(path)))
        path.unlink()


def exists(folder: Path) -> bool:
    """Return whether an attempt has a transcript."""
    return (folder / KEPT).exists() or (folder / LIVE).exists()


def lines(folder: Path) -> list[str]:
    """Return the lines of an attempt's transcript, compressed or not; empty if it has none."""
    content = b""
    if (folder / KEPT).exists():
        content = gzip.decompress(files.read_bytes(folder / KEPT))
    elif (folder / LIVE).exists():
        content = files.read_bytes(folder / LIVE)
    # Split only at line feeds, because strings may contain other line separators. A crash may cut a line within a
    # character.
    return [line for line in content.decode(errors="replace").split("\n") if line]


def events(folder: Path) -> list[Event]:
    """Return the events of an attempt; a line that a crash cut is skipped."""
    found = []
    for line in lines(folder):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def own_session(folder: Path, agent: str) -> str:
    """Return the id of the agent's own session in an attempt of this agent; empty if it opened none."""
    found = events(folder)
    if not any((event.get("event"), event.get("agent")) == ("attempt", agent) for event in found):
        return ""
    return next((str(event["id"]) for event in reversed(found) if event.get("event") == "session"), "")


def traffic(folder: Path) -> tuple[int, int]:
    """Return how many bytes an attempt sent to its model and received from it."""
    passed = [event for event in events(folder) if event.get("event") == "network"]
    sent, received = ([event.get(name) for event in passed] for name in ("sent", "received"))
    return sum(item for item in sent if isinstance(item, int)), sum(item for item in received if isinstance(item, int))


class Calls:
    """Counts the tool calls in a growing transcript, and reads only the new lines."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LIVE
        self._offset = 0
        self._names: set[str] = set()

    def count(self) -> int:
        """Return the number of tool calls so far."""
        for line in self._new_lines() if self._path.exists() else ():
            if b'"event": "tool"' in line:
                self._names.add(str(json.loads(line).get("id")))
        return len(self._names)

    def _new_lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if line.endswith(b"\n"):
                    self._offset += len(line)
                    yield line


def _compressed(path: Path) -> Iterator[bytes]:
    packer = zlib.compressobj(6, wbits=_GZIP)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield packer.compress(chunk)
    yield packer.flush()
