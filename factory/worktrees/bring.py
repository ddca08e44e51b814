"""Brings another repository's files into the mirror, to be put below a folder of the project."""

from collections.abc import Mapping
from dataclasses import dataclass

from factory.errors import InvalidInput, NotFound
from factory.worktrees.repository import Mirror, run

_LINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Brought:
    """A commit of another repository: its tree, and the names of its files."""

    source: str
    commit: str
    tree: str
    paths: frozenset[str]


def bring(mirror: Mirror, source: str, *, ref: str = "HEAD", env: Mapping[str, str] | None = None) -> Brought:
    """Fetch ``ref`` of a repository by path or URL; ``env`` is what git needs to log in.

    Raises ``NotFound`` where there is no such repository or ref, ``InvalidInput`` for an empty one and for one with
    links or submodules: both point to files that nobody reviewed.
    """
    if source.startswith("-") or "::" in source:
        raise InvalidInput(f"{source!r} is no path or URL of a repository")
    run(mirror.path, "fetch", "--quiet", "--no-tags", "--", source, ref, env=env, failure=NotFound)
    commit = run(mirror.path, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}", failure=NotFound)
    listed = run(mirror.path, "ls-tree", "-r", "-z", commit).strip("\0").split("\0")
    paths = set()
    for line in filter(None, listed):
        kind, _, path = line.partition("\t")
        if kind.startswith((_LINK, _SUBMODULE)):
            what = "a symbolic link" if kind.startswith(_LINK) else "a submodule"
            raise InvalidInput(f"{path} is {what}", hint="Put the files themselves there, commit, and try again.")
        paths.add(path)
    if not paths:
        raise InvalidInput(f"{source} has no files")
    return Brought(source, commit, mirror.tree_of(commit), frozenset(paths))
