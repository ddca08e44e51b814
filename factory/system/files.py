"""Access to the file system: atomic writes, locks, containment."""

import errno
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from factory.errors import Conflict, DiskFull, InvalidInput, MachineError, NotFound, Refused

_DEEPEST = 200
# stat(2): the unit of st_blocks, whatever the file system's own.
_BLOCK = 512
MISSING = "Check the path, and that whatever writes the file has run."


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` while writing ``path`` into ``DiskFull`` or ``MachineError``."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(f"no space left on the disk while writing {path}") from error
        raise MachineError(f"cannot write {path}: {error.strerror}", hint="Check the folder's permissions.") from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` atomically: temporary file, fsync, rename, fsync of the folder.

    Raises ``DiskFull`` or ``MachineError`` and keeps the old content.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _fsync_folder(path.parent)


def write_new(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file without fsync; a crash may lose it or leave it half-written.

    Raises ``DiskFull`` or ``MachineError``.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode)
        path.write_bytes(data)


@contextmanager
def appender(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Open a file, and yield a function that appends a whole line to it."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:

            def append(line: bytes) -> None:
                file.write(line)

            yield append


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raises ``InvalidInput`` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error


def read_text(path: Path) -> str:
    """Return a file's text; raises ``InvalidInput`` if it cannot be read or is not UTF-8."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text") from error


def read_untrusted(path: Path, limit: int) -> tuple[bytes, bool]:
    """Return at most ``limit`` bytes of a file with an untrusted author, and whether the file is longer.

    Raises ``NotFound`` if the file is missing, and ``Refused`` for a link, a file with several hard links, a folder, a
    pipe or a device, which would lead elsewhere or never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist", hint=MISSING) from error
    except OSError as error:
        raise Refused(f"{path} is not a regular file: {error.strerror}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        raise Refused(f"{path} is not a regular file with one hard link")
    with os.fdopen(handle, "rb") as file:
        data = file.read(limit + 1)
    return data[:limit], len(data) > limit


def tail(path: Path, limit: int) -> bytes:
    """Return at most the last ``limit`` bytes of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - limit))
        return file.read(limit)


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner may enter, and return it."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
    return path


def remove_tree(path: Path) -> None:
    """Delete a folder and its contents, also folders that their owner may not enter; follows no link.

    A missing folder is not an error; neither is what cannot be deleted. Each inner folder is first moved to the top, so
    that no depth of nesting, which a program makes with ``chdir``, exceeds the stack or the length of a path.
    """
    if path.is_symlink():
        with suppress(OSError):
            path.unlink()
        return
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        with suppress(OSError, NotImplementedError):  # the second: of old C libraries
            folder.chmod(0o700, follow_symlinks=False)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if not entry.is_dir(follow_symlinks=False):
                        Path(entry.path).unlink()
                        continue
                    inner = Path(entry.path)
                    if folder != path:
                        inner.chmod(0o700)
                        inner = inner.rename(path / f".{secrets.token_hex(8)}")
                    waiting.append(inner)
        if folder != path:
            with suppress(OSError):
                folder.rmdir()
    with suppress(OSError):
        path.rmdir()


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder from ``top`` down with its folders and its other entries, sorted; follows no link.

    A folder that cannot be read is left out. Raises ``Refused`` below 200 nested folders, which nothing that a person
    keeps has, and with which other programs end.
    """
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if len(folder.parts) - len(top.parts) > _DEEPEST:
            raise Refused(f"{top}: more than {_DEEPEST} nested folders")
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except OSError:
            continue
        folders = [name for name, is_folder in found if is_folder]
        yield folder, folders, [name for name, is_folder in found if not is_folder]
        waiting += [folder / name for name in reversed(folders)]


def below(top: Path) -> Iterator[Path]:
    """Yield every entry below a folder that is no folder, in order; follows no link. Raises ``Refused`` as ``walk``."""
    return (folder / name for folder, _, names in walk(top) for name in names)


def space(top: Path) -> int:
    """Return the bytes that what is below a folder takes on disk; follows no link. Raises ``Refused`` as ``walk``."""
    total = 0
    for path in below(top):
        with suppress(OSError):  # deleted meanwhile
            total += path.lstat().st_blocks * _BLOCK
    return total


def subfolders(path: Path) -> list[Path]:
    """Return the folders in a folder, sorted; empty if the folder is missing."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def modified(path: Path) -> datetime:
    """Return when a folder or an entry directly in it was last changed."""
    newest = max(entry.lstat().st_mtime for entry in (path, *path.iterdir()))
    return datetime.fromtimestamp(newest, UTC)


def contained(root: Path, relative: str) -> Path:
    """Return ``root/relative`` with links resolved; raises ``Refused`` if it is outside ``root``."""
    base = root.resolve()
    path = (base / relative).resolve()
    if path != base and base not in path.parents:
        raise Refused(f"{relative!r} is outside {root}")
    return path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an advisory lock (flock) on ``path``; the kernel releases it when the process dies.

    With ``wait=False``, raises ``Conflict`` if another process holds the lock.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise Conflict(f"another process holds {path}") from None
        yield
    finally:
        with suppress(OSError):
            os.close(handle)


def _fsync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
