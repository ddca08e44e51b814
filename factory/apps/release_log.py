"""Keeps what a release prints: the newest part of it, in two files that the release itself can't reach."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO

from factory.system import files

# Bytes of a file; a full one takes the place of the one before it.
MOST = 2**20
_BLOCK = 2**16


def keep(pipe: int, path: Path) -> Thread:
    """Append what comes through a pipe to the log at ``path``, until it ends; return the thread that does it.

    On a full disk, what does not fit is lost, and the release runs on.
    """
    files.private_folder(path.parent)
    thread = Thread(target=_copy, args=(pipe, path), daemon=True)
    thread.start()
    return thread


def earlier(path: Path) -> Path:
    """Return the file with what was printed before the file ``path`` began."""
    return path.with_name(f"{path.name}.1")


def lines(path: Path, most: int) -> list[str]:
    """Return the last lines of a log."""
    found: list[str] = []
    for file in (path, earlier(path)):
        if len(found) < most and file.exists():
            found = [*_text(files.tail(file, MOST)), *found]
    return found[-most:] if most else []


def following(path: Path) -> Iterator[list[str]]:
    """Yield the whole lines that were added since the last time, again and again; at first, none."""
    file, rest = _opened(path), b""
    try:
        if file:
            file.seek(0, os.SEEK_END)
        while True:
            added = file.read() if file else b""
            if file is None or (not added and _replaced(file, path)):
                if file:
                    file.close()
                file = _opened(path)
            *whole, rest = (rest + added).split(b"\n")
            if len(rest) > _BLOCK:  # a line that does not end
                whole, rest = [*whole, rest], b""
            yield [line.decode(errors="replace") for line in whole]
    finally:
        if file:
            file.close()


def remove(path: Path) -> None:
    """Delete a log."""
    for file in (path, earlier(path)):
        file.unlink(missing_ok=True)


def _copy(pipe: int, path: Path) -> None:
    with os.fdopen(pipe, "rb", buffering=0) as stream:
        while block := stream.read(_BLOCK):
            with suppress(OSError):
                if path.exists() and path.stat().st_size + len(block) > MOST:
                    path.replace(earlier(path))
                with path.open("ab") as log:
                    log.write(block)


def _opened(path: Path) -> IO[bytes] | None:
    return path.open("rb") if path.exists() else None


def _replaced(file: IO[bytes], path: Path) -> bool:
    with suppress(OSError):
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _text(content: bytes) -> list[str]:
    *whole, rest = content.decode(errors="replace").split("\n")
    return [*whole, rest] if rest else whole
