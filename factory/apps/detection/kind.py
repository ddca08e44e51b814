"""An app's kind, from the names of its files."""

from collections.abc import Collection
from pathlib import PurePosixPath

from factory.apps.node_files import PACKAGE

# The most exact first. A text file counts only with the hashes of its packages.
PYTHON_LOCKS = ("uv.lock", "requirements.lock", "requirements.txt")
# Where site generators leave a site.
SITES = ("dist", "build", "public", "_site", "site", "out")


def of_files(paths: Collection[str], scripts: Collection[str]) -> tuple[str, str] | None:
    """Return the kind and why; ``None`` if the files don't tell.

    ``paths`` are below the app's folder, ``scripts`` the names of those in its package.json.
    """
    tops = {PurePosixPath(path).parts[0] for path in paths}
    if PACKAGE in tops and "index.html" in tops and "build" in scripts and "start" not in scripts:
        return "static", "index.html and a script `build` exist, and no script `start`"
    if PACKAGE in tops:
        return "node", f"{PACKAGE} exists"
    if {"pyproject.toml", *PYTHON_LOCKS} & tops or any(path.endswith(".py") for path in paths):
        return "python", "it has Python files"
    if "index.html" in tops or any(f"{folder}/index.html" in paths for folder in SITES):
        return "static", "index.html exists"
    return None
