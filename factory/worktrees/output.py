"""Reads what a git command prints in parts, so that the reader bounds what is kept in memory."""

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

import git

from factory.errors import MachineError
from factory.worktrees.blobs import NOBODY, Blob
from factory.worktrees.git_errors import failed

_CHUNK, _KEPT = 65536, 16


def chunks(folder: Path, *arguments: str) -> Generator[bytes]:
    """Yield what a git command prints; git is ended if the caller stops. Raises ``MachineError`` if the command fails.

    Close the iterator, or read it to its end.
    """
    try:
        running = git.Git(str(folder)).execute(["git", *arguments], env=NOBODY, as_process=True)
    except git.exc.GitCommandNotFound as error:
        raise MachineError("git is not installed", hint="Install git and run the command again.") from error
    process = running.proc
    assert process is not None  # noqa: S101 - it was just started
    out, errors = process.stdout, process.stderr
    assert out is not None  # noqa: S101 - GitPython pipes both
    assert errors is not None  # noqa: S101
    said: deque[bytes] = deque(maxlen=_KEPT)
    # Read at the same time, or git waits for ever once this pipe is full.
    reader = Thread(target=lambda: said.extend(_parts(errors)), daemon=True)
    reader.start()
    try:
        yield from _parts(out)
        code = process.wait()
        reader.join()
        if code:
            raise failed(MachineError, arguments[0], b"".join(said).decode(errors="replace"))
    finally:
        process.kill()
        process.wait()
        reader.join()
        out.close()
        errors.close()


def beginning(folder: Path, *arguments: str, most: int) -> tuple[bytes, bool]:
    """Return at most ``most`` bytes of what a git command prints, and whether it prints more; raises as ``chunks``."""
    found = bytearray()
    with closing(chunks(folder, *arguments)) as parts:
        for part in parts:
            found += part
            if len(found) > most:
                break
    return bytes(found[:most]), len(found) > most


def blob(folder: Path, found: Blob, *, most: int) -> tuple[bytes, bool]:
    """Return at most ``most`` bytes of a file of a commit, and whether it has more."""
    return beginning(folder, "cat-file", "blob", found.sha, most=most)


def _parts(pipe: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(pipe.read1, _CHUNK), b"")  # type: ignore[attr-defined] # a buffered pipe has it
