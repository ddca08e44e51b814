"""Installs what a Node app's tests need, by its lock file, into a folder that later runs use again.

No install script runs. The folder is named after the content of the files, so a change of them gets another one.
"""

from collections.abc import Mapping
from pathlib import Path

from factory.apps import packages
from factory.apps.archive import CODE
from factory.apps.own_tests import NODE_LOCK, NODE_MODULES, PACKAGE
from factory.system import canonical, files

_READY = "ready"


def needed(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files among those of an app's folder that name its packages; without a lock, none."""
    return {path: contents[path] for path in (NODE_LOCK, PACKAGE)} if {NODE_LOCK, PACKAGE} <= set(contents) else {}


def ensure(root: Path, found: Mapping[str, bytes], *, env: Mapping[str, str]) -> Path:
    """Return the folder ``node_modules`` for the files; it is installed unless it exists.

    Raises ``InvalidInput`` if a package cannot be had as the lock says, ``MachineError`` without npm.
    """
    folder = _place(root, found)
    with files.locked(root / f"{folder.name}.lock"):
        if not (folder / _READY).exists():
            files.remove_tree(folder)
            for path, data in found.items():
                files.write_new(folder / CODE / path, data)
            packages.fetch_node(folder, env=env)
            files.private_folder(_modules(folder))  # of a lock that names no package
            files.write_atomic(folder / _READY, b"")
    return _modules(folder)


def existing(root: Path, found: Mapping[str, bytes]) -> Path | None:
    """Return the folder ``node_modules`` that was installed for the files, or ``None``."""
    folder = _place(root, found)
    return _modules(folder) if (folder / _READY).exists() else None


def _modules(folder: Path) -> Path:
    return folder / CODE / NODE_MODULES


def _place(root: Path, found: Mapping[str, bytes]) -> Path:
    named = [[path, canonical.digest(data)] for path, data in sorted(found.items())]
    return root / canonical.digest_of(["node", *named]).partition(":")[2][:24]
