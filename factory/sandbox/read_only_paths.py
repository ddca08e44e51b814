"""Makes paths inside a writable folder read-only for a launch, whether they exist, are missing, or are links.

Bubblewrap mounts existing paths over themselves, read-only. At a missing path, a socket file is created as the mount
point, because git ignores sockets and opening one fails at once; in the sandbox ``/dev/null`` is mounted over it, so
the path cannot be created. Bubblewrap cannot mount over a link, so such a socket replaces it during the launch;
``put_back`` restores the link.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import MachineError
from factory.system import files

_NOTHING = "/dev/null"
_MOST_LINKS = 8


@dataclass(frozen=True)
class Stub:
    """A mount point created for a launch: its path, its inode, and the target of the link that it replaces, if any."""

    path: Path
    inode: int
    link: str | None = None


@dataclass(frozen=True)
class ReadOnlyMounts:
    """Options for bubblewrap, in order, and the created mount points."""

    options: tuple[str, ...]
    stubs: tuple[Stub, ...]


def freeze(paths: Sequence[Path], *, writable: Sequence[Path], visible: Sequence[Path]) -> ReadOnlyMounts:
    """Return the mounts that make ``paths`` read-only inside ``writable``, and create the missing mount points.

    A link shows its target only if the target is within the folders ``visible``. Raises ``MachineError`` and changes
    nothing if a mount point cannot be created.
    """
    plan = _plan(paths, writable, visible)
    stubs: list[Stub] = []
    try:
        for path, link in plan.points.items():
            stubs.append(_stub(path, link))
    except MachineError:
        put_back(stubs)
        raise
    options: list[str] = []
    # A parent folder must be a mount point too, else it could be renamed.
    for path in sorted(plan.pinned - plan.covers.keys(), key=_depth):
        options += ["--bind", str(path), str(path)]
    for path in sorted(plan.covers, key=_depth):
        options += ["--ro-bind", plan.covers[path], str(path)]
    return ReadOnlyMounts(tuple(options), tuple(stubs))


@dataclass(frozen=True)
class _Plan:
    """Folders to pin, the cover of each path, and mount points to create (with the link that each replaces)."""

    pinned: set[Path] = field(default_factory=set)
    covers: dict[Path, str] = field(default_factory=dict)
    points: dict[Path, str | None] = field(default_factory=dict)


def _plan(paths: Sequence[Path], writable: Sequence[Path], visible: Sequence[Path]) -> _Plan:
    plan = _Plan()
    waiting = [(path, 0) for path in paths]
    while waiting:
        path, followed = waiting.pop(0)
        for step, last in _steps(path, writable):
            kind = _kind(step)
            if step in plan.covers:
                break
            if kind == stat.S_IFLNK:
                target = Path(os.path.realpath(step))  # a loop raises no error here
                shown = target.exists() and any(root == target or root in target.parents for root in visible)
                plan.covers[step] = str(target) if shown else _NOTHING
                plan.points[step] = str(step.readlink())
                if shown and followed < _MOST_LINKS:
                    waiting.append((target, followed + 1))
                break
            if kind is None or kind == stat.S_IFSOCK:  # a socket is a mount point left by an earlier launch
                plan.covers[step] = _NOTHING
                if kind is None:
                    plan.points[step] = None
                break
            if last:
                plan.covers[step] = str(step)
                break
            plan.pinned.add(step)
            if kind != stat.S_IFDIR:  # a pinned file cannot become a folder, so the path below it cannot be created
                break
    return plan


def put_back(stubs: Sequence[Stub]) -> None:
    """Remove the mount points of a launch that has ended and restore links; skip paths changed in the meantime."""
    for stub in stubs:
        with suppress(FileNotFoundError), files.disk_errors(stub.path):
            if stub.path.lstat().st_ino != stub.inode:
                continue
            stub.path.unlink()
            if stub.link is not None:
                stub.path.symlink_to(stub.link)


def _steps(path: Path, writable: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield each folder between the outermost writable folder and ``path``, then ``path`` itself with ``True``."""
    roots = [root for root in writable if root in path.parents]
    if not roots:
        return
    root = min(roots, key=lambda item: len(item.parts))
    names = path.relative_to(root).parts
    for count in range(1, len(names) + 1):
        yield root.joinpath(*names[:count]), count == len(names)


def _depth(path: Path) -> int:
    return len(path.parts)


def _kind(path: Path) -> int | None:
    with files.disk_errors(path):
        try:
            return stat.S_IFMT(path.lstat().st_mode)
        except FileNotFoundError:
            return None


def _stub(path: Path, link: str | None) -> Stub:
    with files.disk_errors(path):
        if link is not None:
            path.unlink()
        os.mknod(path, stat.S_IFSOCK | 0o400)
        return Stub(path, path.lstat().st_ino, link)
