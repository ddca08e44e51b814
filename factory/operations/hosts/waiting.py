"""Waits until hosts are ready, and reads what a host says from a mirror."""

from collections.abc import Callable
from pathlib import Path

from factory.operations.hosts import readiness
from factory.system import clock
from factory.worktrees import blobs, output
from factory.worktrees.repository import Mirror


def until_ready(
    look: Callable[[], tuple[str, ...]], *, seconds: float, pause: float, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Call ``look`` again and again until it finds nothing unmet; return what is still unmet after some seconds.

    ``pause`` is the time between two looks, in seconds; ``say`` receives what is unmet each time that it changes.
    """
    deadline, told = clock.monotonic() + seconds, ""
    while unmet := look():
        if (now := "; ".join(unmet)) != told:
            say(now)
            told = now
        if clock.monotonic() > deadline:
            break
        clock.sleep(pause)
    return unmet


def said(mirror: Mirror, branch: str) -> bytes | None:
    """Return what a host says on its branch as of the last fetch; other files there are not read."""
    head = mirror.head(branch)
    return said_at(mirror.path, head) if head else None


def said_at(folder: Path, revision: str) -> bytes | None:
    """Return what a host says at a revision; of a file that is too large to count, only so much that this shows."""
    found = [item for item in blobs.listed(folder, revision, readiness.FILE) if item.path == readiness.FILE]
    return output.blob(folder, found[0], most=readiness.LARGEST + 1)[0] if found else None
