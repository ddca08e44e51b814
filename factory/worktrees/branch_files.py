"""Reads one branch of any repository, which nobody has to trust: without credentials and without a working tree."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.errors import NotFound, Unreachable
from factory.worktrees import blobs
from factory.worktrees.repository import Mirror, run


@dataclass(frozen=True)
class BranchFiles:
    """The files of a branch: content by path, and the mode of every entry (git-ls-tree(1)), links and gitlinks too."""

    content: Mapping[str, bytes]
    modes: Mapping[str, str]


def read(mirror: Mirror, branch: str) -> BranchFiles:
    """Return the files of a branch as of the mirror's last fetch; no files if the branch does not exist."""
    head = mirror.head(branch)
    if head is None:
        return BranchFiles({}, {})
    listed = run(mirror.path, "ls-tree", "-r", "-z", head).strip("\0").split("\0")
    pairs = (entry.split("\t", 1) for entry in listed if entry)
    return BranchFiles(mirror.tree(head), {path: meta.split(" ", 1)[0] for meta, path in pairs})


def own(clone: Path, branch: str) -> Mapping[str, bytes]:
    """Return the content of the files of a branch of a clone that the user works in, by path.

    It is the clone's copy of the branch of ``origin``, else its own branch, read in place: this runs git with the
    clone's configuration, so that another's clone must be fetched. Raises ``NotFound`` if it has neither.
    """
    for name in _names(branch):
        if run(clone, "for-each-ref", "--format=%(objectname)", name):
            found = blobs.listed(clone, name)
            return dict(zip((item.path for item in found), blobs.contents(clone, found), strict=True))
    raise _missing(str(clone), branch)


def _names(branch: str) -> list[str]:
    return [f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"]


def _missing(source: str, branch: str) -> NotFound:
    return NotFound(f"{source} has no branch {branch}", hint="Name a clone, or the address of the project.")


def fetch(source: str, branch: str) -> BranchFiles:
    """Return the files of a branch of a repository, which is a folder or a URL.

    In a clone, this is its copy of the branch of ``origin``, else its own branch. Raises ``NotFound`` if it has
    neither, and ``Unreachable`` if git cannot read the repository.
    """
    with tempfile.TemporaryDirectory(prefix="factory-branch-") as folder:
        mirror = Mirror(Path(folder) / "mirror.git", str(Path(source).resolve()) if Path(source).is_dir() else source)
        mirror.ensure()
        names = _names(branch)
        listed = run(mirror.path, "ls-remote", "--quiet", "--", mirror.url, *names, failure=Unreachable)
        found = {line.split("\t", 1)[1] for line in listed.splitlines()}
        name = next((name for name in names if name in found), None)
        if name is None:
            raise _missing(source, branch)
        refspec = f"+{name}:refs/remotes/origin/{branch}"
        run(
            mirror.path, "fetch", "--quiet", "--depth=1", "--no-tags", "--", mirror.url, refspec, failure=Unreachable
        )  # fmt: skip
        return read(mirror, branch)
