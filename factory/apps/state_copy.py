"""Copies the folder of an app's state. This program runs behind the launch door: the app wrote the folder's names.

SQLite databases are copied by SQLite's own backup (https://sqlite.org/backup.html), so that the copy of one that is in
use is whole. Links are copied as links, and what is neither a file, a link nor a folder is left out.
"""

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

# The first bytes of a database file (https://sqlite.org/fileformat.html#magic_header_string).
_MAGIC = b"SQLite format 3\0"
# The endings of the files that belong to a database in use.
_BESIDE = ("-wal", "-shm", "-journal")
_SECONDS = 30.0


def copy(source: Path, target: Path) -> None:
    """Copy everything below ``source`` into the folder ``target``, which exists.

    Ends the program if that could take more than half of the free disk: a sparse file may claim any size.
    """
    paths = (Path(parent, name) for parent, _, names in os.walk(source) for name in names)
    size, free = sum(path.lstat().st_size for path in paths), shutil.disk_usage(target).free
    if size > free // 2:
        sys.exit(f"the state has {size >> 20} MiB, and the disk {free >> 20} MiB free")
    for parent, folders, names in os.walk(source):
        place = target / Path(parent).relative_to(source)
        for name in folders:
            path = Path(parent, name)
            if path.is_symlink():
                (place / name).symlink_to(path.readlink())
            else:
                (place / name).mkdir(mode=0o700)
        databases = {name for name in names if _is_database(Path(parent, name))}
        beside = {f"{name}{end}" for name in databases for end in _BESIDE}
        for name in sorted(set(names) - beside):
            _one(Path(parent, name), place / name, database=name in databases)


def _one(path: Path, target: Path, *, database: bool) -> None:
    if path.is_symlink():
        target.symlink_to(path.readlink())
    elif database:
        with (
            closing(sqlite3.connect(path, timeout=_SECONDS)) as opened,
            closing(sqlite3.connect(target)) as made,
        ):
            opened.backup(made)
        shutil.copymode(path, target)
    elif path.is_file():
        shutil.copy2(path, target, follow_symlinks=False)


def _is_database(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


if __name__ == "__main__":
    copy(Path(sys.argv[1]), Path(sys.argv[2]))
