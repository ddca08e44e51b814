"""Removes the lock files that a killed git leaves in a repository, which stop every later git there."""

import time
from contextlib import suppress
from pathlib import Path

# gitrepository-layout(5); below `refs`, each ref has a lock file of its own.
_TOP = ("HEAD.lock", "config.lock", "index.lock", "packed-refs.lock", "shallow.lock")


def remove_stale(repository: Path, *, seconds: float) -> None:
    """Remove the lock files of a git directory that are at least ``seconds`` old: git holds one for a moment."""
    found = [
        *(repository / name for name in _TOP),
        *(repository / "refs").rglob("*.lock"),
    ]
    for path in found:
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= seconds:
                path.unlink()
