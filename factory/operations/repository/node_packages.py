"""Installs what a Node app's tests need, by its lock file, into a folder that later runs use again.

No install script runs. The folder is named after the content of the files, so a change of them gets another one.
"""

from collections.abc import Mapping
from pathlib import Path

from factory.apps import node_files, packages
from factory.apps.archive import CODE
from factory.operations.repository import app_environment
from factory.system import files

_READY = "ready"
_NAMED = (node_files.LOCK, node_files.PACKAGE)


def needed(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files among those of an app's folder that name its packages; without a lock, none."""
    return {path: contents[path] for path in _NAMED} if set(_NAMED) <= set(contents) else {}


def ensure(root: Path, found: Mapping[str, bytes], *, env: Mapping[str, str]) -> Path:
    """Return the folder ``node_modules`` for the files; it is installed unless it exists.

    Raises ``InvalidInput`` if a package cannot be had as the lock says, ``MachineError`` without npm.
    """
    folder = app_environment.place(root, found, "node")
    if (folder / _READY).exists():  # without a lock: a judging job cannot write here
        return _modules(folder)
    with files.locked(root / f"{folder.name}.lock"):
        if not (folder / _READY).exists():
            files.remove_tree(folder)
            for path, data in found.items():
                files.write_new(folder / CODE / path, data)
            packages.fetch_node(folder, env=env)
            files.private_folder(_modules(folder))  # of a lock that names no package
            files.write_atomic(folder / _READY, b"")
    return _modules(folder)


def _modules(folder: Path) -> Path:
    return folder / CODE / node_files.MODULES
