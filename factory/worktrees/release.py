"""Releases of the factory in a control repository: a line of commits of its own, merged into what a person made of it.

A release is a commit whose tree is the release and whose message names it. The newest one in a branch's history is what
the branch was made from, or upgraded to; git's three-way merge does the rest.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import git

from factory.errors import Conflict, InvalidInput, MachineError, NotFound
from factory.worktrees.bring import bring
from factory.worktrees.repository import NOBODY, Author, Mirror, run

TRAILER = "Factory-Release"
_AUTHOR = Author("factory", "factory@localhost")
_NAMED = re.compile(rf"^{TRAILER}: (\S+) ([0-9a-f]{{40}})$", re.MULTILINE)
# What belongs to the place where releases are made, and to no control repository.
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
    """What a merge gives: the tree, and git's word on each file that it could not merge by itself."""

    tree: str
    conflicts: tuple[str, ...]
    messages: tuple[str, ...]


def import_(scratch: Mirror, source: str, *, ref: str, parent: str | None) -> Release:
    """Write the release that ``ref`` of a repository is as a commit on top of ``parent``, in a scratch repository.

    Raises ``NotFound`` for no such repository or ref, ``InvalidInput`` for one that is no release of the factory.
    """
    found = bring(scratch, source, ref=ref)
    if not {"pyproject.toml", "factory/__init__.py", ".gitlab-ci.yml"} <= found.paths:
        raise InvalidInput(f"{source} is no repository of the factory")
    said = _VERSION.search(scratch.read(found.commit, "factory/__init__.py").decode(errors="replace"))
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
    """Return the newest release in a revision's history; raises ``NotFound`` where there is none."""
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
        # A message alone could claim anything: the tree that it names has to be the commit's own.
        if named and named.group(2) == tree:
            return Release(named.group(1), commit, tree)
    raise NotFound(
        "this repository was not made by `factory init`",
        hint="Merge the newer release with git: `git merge` from the repository that this one was cloned from.",
    )


def found_in(folder: Path, scratch: Mirror, release: Release) -> None:
    """Make a repository whose branch main is a release, checked out; raises ``MachineError``."""
    run(folder, "init", "--quiet", "--initial-branch=main")
    run(
        folder,
        "fetch",
        "--quiet",
        "--no-tags",
        str(scratch.path),
        f"{release.commit}:refs/heads/main",
        "--update-head-ok",
    )
    run(folder, "reset", "--quiet", "--hard", "main")


def keep(clone: Path, scratch: Mirror, release: Release) -> str:
    """Bring a release into a repository below a ref of its own; return that ref. The checkout is left alone."""
    ref = f"refs/factory/releases/{release.version}"
    run(clone, "fetch", "--quiet", "--no-tags", str(scratch.path), f"+{release.commit}:{ref}")
    return ref


def merge(clone: Path, ours: str, theirs: str) -> MergeResult:
    """Merge two commits without touching the checkout (git-merge-tree, which needs git 2.38).

    Raises ``MachineError`` for an older git.
    """
    code, out, err = git.Git(str(clone)).execute(
        ["git", "merge-tree", "--write-tree", "--name-only", "-z", ours, theirs],
        with_extended_output=True,
        with_exceptions=False,
        env=NOBODY,
    )
    if code not in {0, _CONFLICTED}:
        raise MachineError(f"git can't merge here: {str(err).strip()}", hint="Install git 2.38 or newer.")
    parts = str(out).split("\0")
    tree, rest = parts[0], parts[1:]
    if code == 0:
        return MergeResult(tree, (), ())
    end = rest.index("")
    # After the names, each message is a count, that many paths, its kind and its text.
    told = [text.strip() for text in rest[end + 1 :] if text.strip().startswith("CONFLICT")]
    return MergeResult(tree, tuple(rest[:end]), tuple(told))


def branch(clone: Path, name: str, merged: MergeResult, *, ours: str, theirs: str, message: str) -> str:
    """Write the merge as a commit by the person on a branch; return it. The same once more is what is there already.

    Raises ``InvalidInput`` without a person's name, ``Conflict`` where the branch is there with something else.
    """
    author = person(clone)
    there = run(clone, "for-each-ref", "--format=%(objectname) %(tree) %(parent)", f"refs/heads/{name}").split()
    if there:
        if there[1] != merged.tree or run(clone, "rev-parse", ours) not in there[2:]:
            raise Conflict(
                f"the branch {name} is there already, with something else",
                hint=f"Finish what is on it, or take it away: git branch -D {name}",
            )
        return there[0]
    env = author.env()
    commit = run(clone, "commit-tree", merged.tree, "-p", ours, "-p", theirs, "-m", message, env=env)
    run(clone, "update-ref", f"refs/heads/{name}", commit)
    return commit


def person(clone: Path) -> Author:
    """Return who the repository's commits are by, as git is configured; raises ``InvalidInput``."""
    repository = git.Repo(clone)
    try:
        reader = repository.config_reader()
        name, email = (str(reader.get_value("user", key, default="")) for key in ("name", "email"))
    finally:
        repository.close()
    if not name or not email:
        raise InvalidInput("git does not know who you are", hint="Set user.name and user.email with `git config`.")
    return Author(name, email)
