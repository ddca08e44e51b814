"""Releases of the factory in a repository that has its source: a line of commits, merged into the person's branch.

A release is a commit with the release's files as its tree; the commit message names the version and the tree. The
newest release in a branch's history is the base of the next upgrade, which is a three-way merge of git.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import git

from factory.errors import Conflict, InvalidInput, MachineError, NotFound
from factory.worktrees.blobs import NOBODY
from factory.worktrees.git_errors import checked
from factory.worktrees.import_files import bring
from factory.worktrees.repository import Author, Mirror, run

TRAILER = "Factory-Release"
_AUTHOR = Author("factory", "factory@localhost")
_NAMED = re.compile(rf"^{TRAILER}: (\S+) ([0-9a-f]{{40}})$", re.MULTILINE)
# Files of the factory's own repository that do not belong in a control repository.
_LEFT_OUT = re.compile(r"\.ci/")
_VERSION = re.compile(r'^__version__ = "([0-9][0-9a-z.+-]*)"$', re.MULTILINE)
_CONFLICTED = 1


@dataclass(frozen=True)
class Release:
    """A release as a commit: its version, and the commit's tree."""

    version: str
    commit: str
    tree: str


@dataclass(frozen=True)
class MergeResult:
    """The result of a merge: the tree, the conflicting files, and git's messages about them."""

    tree: str
    conflicts: tuple[str, ...]
    messages: tuple[str, ...]


def import_(scratch: Mirror, source: str, *, ref: str, parent: str | None) -> Release:
    """Write the release at ``ref`` of a repository as a commit on top of ``parent``, in a scratch repository.

    Raises ``NotFound`` if the repository or ref does not exist, ``InvalidInput`` if it is not a release of the factory.
    """
    found = bring(scratch, source, ref=ref, links=True)
    if not {"pyproject.toml", "factory/__init__.py", ".gitlab-ci.yml"} <= found.paths:
        raise InvalidInput(f"{source} is not a repository of the factory")
    said = _VERSION.search(scratch.read(found.copy, "factory/__init__.py").decode(errors="replace"))
    if said is None:
        raise InvalidInput(f"the factory/__init__.py of {found.source} names no version")
    version = said.group(1)
    left_out = {path: None for path in found.paths if _LEFT_OUT.match(path)}
    draft = scratch.commit(left_out, parent=None, trees={"": found.tree}, message="draft", author=_AUTHOR)
    tree = scratch.tree_of(draft)
    message = f"Factory {version}\n\n{TRAILER}: {version} {tree}\n"
    commit = scratch.commit({}, parent=parent, trees={"": tree}, message=message, author=_AUTHOR)
    return Release(version, commit, tree)


def newest(clone: Path, revision: str = "HEAD") -> Release:
    """Return the newest release in a revision's history; raises ``NotFound`` if there is none."""
    listed = run(
        clone,
        "log",
        "--topo-order",
        f"--grep=^{TRAILER}: ",
        "--format=%H%x00%T%x00%B%x01",
        revision,
        "--",
        failure=NotFound,
    )
    for record in listed.split("\x01"):
        commit, _, rest = record.strip("\n").partition("\0")
        tree, _, message = rest.partition("\0")
        named = _NAMED.search(message)
        # Anybody can write such a message, so the tree that it names must be the commit's tree.
        if named and named.group(2) == tree:
            return Release(named.group(1), commit, tree)
    raise NotFound(
        "this repository has no copy of a release of the factory",
        hint="Merge the new release by `git pull` from the repository from which you cloned this repository.",
    )


def keep(clone: Path, scratch: Mirror, release: Release) -> str:
    """Fetch a release into a repository and return its ref; the checkout does not change."""
    ref = f"refs/factory/releases/{release.version}"
    run(clone, "fetch", "--quiet", "--no-tags", str(scratch.path), f"+{release.commit}:{ref}")
    return ref


def merge(clone: Path, ours: str, theirs: str) -> MergeResult:
    """Merge two commits without a change to the checkout (git-merge-tree).

    Raises ``MachineError`` if git is older than 2.38.
    """
    code, out, err = git.Git(str(clone)).execute(
        ["git", "merge-tree", "--write-tree", "--name-only", "-z", ours, theirs],
        with_extended_output=True,
        with_exceptions=False,
        env=NOBODY,
    )
    if code not in {0, _CONFLICTED}:
        raise MachineError(f"git merge-tree failed: {str(err).strip()}", hint="Install git 2.38 or newer.")
    parts = str(out).split("\0")
    tree, rest = parts[0], parts[1:]
    if code == 0:
        return MergeResult(tree, (), ())
    end = rest.index("")
    # After the names, each message consists of a count, that many paths, its kind and its text.
    messages = [text.strip() for text in rest[end + 1 :] if text.strip().startswith("CONFLICT")]
    return MergeResult(tree, tuple(rest[:end]), tuple(messages))


def branch(clone: Path, name: str, merged: MergeResult, *, ours: str, theirs: str, message: str, author: Author) -> str:
    """Write the merge as a commit on a branch; return it. An existing equal merge is returned instead.

    Raises ``Conflict`` if the branch exists with other content.
    """
    existing = run(clone, "for-each-ref", "--format=%(objectname) %(tree) %(parent)", f"refs/heads/{name}").split()
    if existing:
        if existing[1] != merged.tree or run(clone, "rev-parse", ours) not in existing[2:]:
            raise Conflict(
                f"the branch {name} already exists with other content",
                hint=f"Merge the branch, or delete it: git branch -D {name}",
            )
        return existing[0]
    env = author.env()
    commit = run(clone, "commit-tree", merged.tree, "-p", ours, "-p", theirs, "-m", message, env=env)
    run(clone, "update-ref", f"refs/heads/{name}", checked("commit-tree", commit))
    return commit
