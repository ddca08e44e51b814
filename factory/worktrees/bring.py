"""Imports another repository's files into the mirror, so that a commit can place them in a folder of the project."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from factory.errors import InvalidInput, NotFound
from factory.worktrees.repository import Mirror, run

_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class ImportedCommit:
    """A commit of another repository, its tree and its file paths; ``source`` contains no password or local path."""

    source: str
    commit: str
    tree: str
    paths: frozenset[str]


def bring(mirror: Mirror, source: str, *, ref: str = "HEAD", env: Mapping[str, str] | None = None) -> ImportedCommit:
    """Fetch ``ref`` of a repository by path or URL; ``env`` is the environment with which git logs in.

    Raises ``NotFound`` if the repository or ref does not exist, ``InvalidInput`` for an empty repository and for one
    with links or submodules, because both point to files that nobody reviewed.
    """
    if source.startswith("-") or "::" in source:
        raise InvalidInput(f"{source!r} is not a path or URL of a repository")
    # A unique ref instead of FETCH_HEAD, because a concurrent fetch into the mirror overwrites FETCH_HEAD.
    own = f"refs/brought/{secrets.token_hex(8)}"
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", located(source), f"+{ref}:{own}")
    run(mirror.path, *fetch, env=env, failure=NotFound)
    commit = run(mirror.path, "rev-parse", "--verify", "--quiet", f"{own}^{{commit}}", failure=NotFound)
    run(mirror.path, "update-ref", "-d", own)
    listed = run(mirror.path, "ls-tree", "-r", "-z", commit).strip("\0").split("\0")
    paths = set()
    for line in filter(None, listed):
        kind, _, path = line.partition("\t")
        if kind.startswith((_LINK, _SUBMODULE)):
            what = "a symbolic link" if kind.startswith(_LINK) else "a submodule"
            raise InvalidInput(
                f"{path} is {what}", hint="Replace it by the files themselves, commit, and run the command again."
            )
        paths.add(path)
    if not paths:
        raise InvalidInput(f"{source} has no files")
    return ImportedCommit(_shown(source), commit, mirror.tree_of(commit), frozenset(paths))


def located(source: str) -> str:
    """Return a local path as an absolute path, and a URL unchanged."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _shown(source: str) -> str:
    """Return a repository's URL without credentials, or only the folder's name for a local repository."""
    if Path(source).expanduser().exists():
        return Path(source).expanduser().resolve().name
    parts = urlsplit(source)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else source
