"""Imports another repository into the mirror, so that a commit can place its files in a folder of the project."""

import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from factory.errors import InvalidInput, SourceNotFound
from factory.worktrees.repository import Author, Mirror, run

_LINK, _SUBMODULE = "120000", "160000"
# The first line of a pointer, which is shorter than 1,024 bytes (git-lfs: docs/spec.md).
_LFS_POINTER = "version https://git-lfs.github.com/spec/v1"
_LONGEST_POINTER = 1024
_AUTHOR = Author("factory", "factory@localhost")


@dataclass(frozen=True)
class ImportedCommit:
    """A commit of another repository and its file paths; ``source`` contains no password or local path.

    ``copy`` is a commit in the mirror of the same ``tree``: the commit itself with its history, or one without history.
    """

    source: str
    commit: str
    copy: str
    tree: str
    paths: frozenset[str]


def bring(
    mirror: Mirror,
    source: str,
    *,
    ref: str = "HEAD",
    env: Mapping[str, str] | None = None,
    links: bool = False,
    history: bool = False,
) -> ImportedCommit:
    """Fetch ``ref`` of a repository by path or URL; ``env`` is the environment with which git logs in.

    Without ``history``, the files alone are brought. Raises ``SourceNotFound`` if the repository or ref does not exist,
    ``InvalidInput`` for an empty repository, for a part of a history, and for submodules, Git LFS pointers or, without
    ``links``, links: they point to files that nobody reviewed.
    """
    if source.startswith("-") or "::" in source:
        raise InvalidInput(f"{source!r} is not a path or URL of a repository")
    # A unique ref instead of FETCH_HEAD, because a concurrent fetch into the mirror overwrites FETCH_HEAD.
    own = f"refs/brought/{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory() as folder:
        # A mirror that fetched a shallow commit would be shallow itself, and could push nothing any more.
        apart = Mirror(Path(folder), "")
        apart.ensure()
        depth = () if history else ("--depth=1",)
        fetch = ("fetch", "--quiet", *depth, "--no-tags", "--no-write-fetch-head", "--update-shallow")
        run(apart.path, *fetch, "--", located(source), f"+{ref}:{own}", env=env, failure=SourceNotFound)
        commit = copied = run(
            apart.path, "rev-parse", "--verify", "--quiet", f"{own}^{{commit}}", failure=SourceNotFound
        )
        if history and run(apart.path, "rev-parse", "--is-shallow-repository") == "true":
            raise InvalidInput(
                f"{_shown(source)} has a part of its history only",
                hint="Fetch the rest there (`git fetch --unshallow`), or leave the history out with --squash.",
            )
        if not history:
            tree = {"": apart.tree_of(commit)}
            copied = apart.commit({}, parent=None, trees=tree, message=f"{commit}\n", author=_AUTHOR)
        run(apart.path, "update-ref", own, copied)
        run(mirror.path, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", folder, f"+{own}:{own}")
    run(mirror.path, "update-ref", "-d", own)
    return ImportedCommit(_shown(source), commit, copied, mirror.tree_of(copied), _paths(mirror, copied, links=links))


def _paths(mirror: Mirror, commit: str, *, links: bool) -> frozenset[str]:
    listed = run(mirror.path, "ls-tree", "-r", "-z", commit).strip("\0").split("\0")
    paths = set()
    for line in filter(None, listed):
        kind, _, path = line.partition("\t")
        if kind.startswith(_SUBMODULE if links else (_LINK, _SUBMODULE)):
            what = "a symbolic link" if kind.startswith(_LINK) else "a submodule"
            raise InvalidInput(
                f"{path} is {what}", hint="Replace it by the files themselves, commit, and run the command again."
            )
        paths.add(path)
    if not paths:
        raise InvalidInput("the repository has no files")
    for path in mirror.matching(commit, _LFS_POINTER):
        content = mirror.read(commit, path)
        if len(content) < _LONGEST_POINTER and content.startswith(_LFS_POINTER.encode()):
            raise InvalidInput(
                f"{path} is a Git LFS pointer, not the file",
                hint="Commit the file itself (`git lfs migrate export --include=PATH`), and run the command again.",
            )
    return frozenset(paths)


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
