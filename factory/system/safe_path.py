"""Reads and writes files below a folder that an untrusted process changes concurrently, without following any link.

A path may change between a check and its use, so each folder is opened relative to its open parent folder, and the file
relative to the last folder.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from factory.errors import NotFound, Refused
from factory.system import files

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read(root: Path, path: Path, *, limit: int) -> bytes:
    """Return the content of a file; ``path`` must be below ``root`` and contain no link.

    Raises ``NotFound`` if the file is missing, ``Refused`` for a link, folder, pipe or device, or more than ``limit``
    bytes.
    """
    with _parent(root, path, make=False) as folder:
        try:
            handle = os.open(path.name, _FILE, dir_fd=folder)
        except FileNotFoundError:
            raise NotFound(f"{path} does not exist", hint=files.MISSING) from None
        except OSError as error:
            raise Refused(f"{path} is not a regular file: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refused(f"{path} is not a regular file")
    with os.fdopen(handle, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Refused(f"{path} has more than {limit} bytes")
    return data


def write(root: Path, path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file atomically, and create missing folders; ``path`` must be below ``root`` and contain no link.

    An existing file keeps its mode; a new one gets ``mode``. Raises ``Refused`` for a link or a folder, and
    ``MachineError`` if the write fails.
    """
    with files.disk_errors(path), _parent(root, path, make=True) as folder:
        with suppress(FileNotFoundError):
            found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path} is not a regular file")
            mode = stat.S_IMODE(found.st_mode) & 0o777
        name = f".{secrets.token_hex(8)}"
        handle = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(handle, mode)
            os.rename(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
            raise


@contextmanager
def _parent(root: Path, path: Path, *, make: bool) -> Iterator[int]:
    """Open the folder that contains ``path``, step by step from ``root``."""
    try:
        *between, _ = path.relative_to(root).parts
    except ValueError:
        raise Refused(f"{path} is outside {root}") from None
    if ".." in between:
        raise Refused(f"{path} is outside {root}")
    folder = os.open(root, _FOLDER)
    try:
        for name in between:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=folder)
            try:
                inner = os.open(name, _FOLDER, dir_fd=folder)
            except FileNotFoundError:
                raise NotFound(f"{path} does not exist", hint=files.MISSING) from None
            except OSError as error:
                raise Refused(f"{path}: {name} is not a folder: {error.strerror}") from error
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)
