"""Paths inside a writable folder that stay as they are, whether they exist, are missing, or are links.

Bubblewrap mounts over what exists. A missing path gets a socket's inode as its mount point: git does not see sockets,
opening one fails at once, and behind the door an empty device lies over it, so the name cannot be made. A link cannot
be mounted upon: it is replaced by such a mount point while the launch runs, and put back by ``put_back``.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from factory.system import files

_NOTHING = "/dev/null"
_MOST_LINKS = 8


@dataclass(frozen=True)
class Stub:
    """A mount point that was made for a launch: where, which inode, and the link that it stands for, if one."""

    path: Path
    inode: int
    link: str | None = None


@dataclass(frozen=True)
class Frozen:
    """Options for bubblewrap, in order, and the mount points that were made."""

    options: tuple[str, ...]
    stubs: tuple[Stub, ...]


def freeze(paths: Sequence[Path], *, writable: Sequence[Path], visible: Sequence[Path]) -> Frozen:
    """Return what keeps ``paths`` as they are inside ``writable``, making the mount points that are missing.

    A link is shown as what it leads to, but only within the folders ``visible``. Raises ``MachineError`` where a mount
    point cannot be made.
    """
    pinned: dict[Path, None] = {}
    covers: dict[Path, str] = {}
    stubs: list[Stub] = []
    waiting = [(path, 0) for path in paths]
    while waiting:
        path, depth = waiting.pop(0)
        for step, last in _steps(path, writable):
            kind = _kind(step)
            if step in covers:
                break
            if kind == stat.S_IFLNK:
                target = step.resolve()
                shown = target.exists() and any(root == target or root in target.parents for root in visible)
                covers[step] = str(target) if shown else _NOTHING
                stubs.append(_stub(step, link=str(step.readlink())))
                if shown and depth < _MOST_LINKS:
                    waiting.append((target, depth + 1))
                break
            if kind is None or kind == stat.S_IFSOCK:
                covers[step] = _NOTHING
                if kind is None:
                    stubs.append(_stub(step))
                break
            if last:
                covers[step] = str(step)
            else:
                pinned[step] = None
    options: list[str] = []
    # The folder that holds a mount point could be renamed away, were it not one itself.
    for step in sorted(pinned.keys() - covers.keys(), key=lambda item: len(item.parts)):
        options += ["--bind", str(step), str(step)]
    for step in sorted(covers, key=lambda item: len(item.parts)):
        options += ["--ro-bind", covers[step], str(step)]
    return Frozen(tuple(options), tuple(stubs))


def put_back(stubs: Sequence[Stub]) -> None:
    """Remove the mount points of a launch that has ended, and put links back; a path changed since is left alone."""
    for stub in stubs:
        with suppress(FileNotFoundError), files.disk_errors(stub.path):
            if stub.path.lstat().st_ino != stub.inode:
                continue
            stub.path.unlink()
            if stub.link is not None:
                stub.path.symlink_to(stub.link)


def _steps(path: Path, writable: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield the folders that lead from the outermost writable folder to ``path``, and ``path`` as the last."""
    roots = [root for root in writable if root in path.parents]
    if not roots:
        return
    root = min(roots, key=lambda item: len(item.parts))
    names = path.relative_to(root).parts
    for count in range(1, len(names) + 1):
        yield root.joinpath(*names[:count]), count == len(names)


def _kind(path: Path) -> int | None:
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _stub(path: Path, *, link: str | None = None) -> Stub:
    with files.disk_errors(path):
        if link is not None:
            path.unlink()
        os.mknod(path, stat.S_IFSOCK | 0o400)
        return Stub(path, path.lstat().st_ino, link)
