"""A session's worktree: created from the mirror, reset to a known commit, committed by the factory."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from factory.errors import MachineError, Refused
from factory.system import canonical, files
from factory.worktrees.repository import Author, Mirror, run


def prepare(mirror: Mirror, path: Path, *, commit: str) -> None:
    """Create the worktree or reset an existing one: ``commit`` checked out, detached, without any other file.

    A lock serialises this, because git may fail if two worktrees are added to one repository at once.
    """
    with files.locked(mirror.path / "worktrees.lock"):
        if _untouched(path) and _usable(path):
            run(path, "reset", "--hard", "--quiet", commit)
            run(path, "clean", "-ffdxq")
            return
        files.remove_tree(path)
        run(mirror.path, "worktree", "prune")
        run(mirror.path, "worktree", "add", "--quiet", "--detach", str(path), commit)
        files.write_atomic(_link_copy(path), (path / ".git").read_bytes())


def remove(mirror: Mirror, path: Path) -> None:
    """Delete the worktree and its entry in the mirror."""
    with files.locked(mirror.path / "worktrees.lock"):
        files.remove_tree(path)
        run(mirror.path, "worktree", "prune")


def git_dir(path: Path) -> Path:
    """Return the worktree's git directory, a folder in the mirror."""
    return Path(run(path, "rev-parse", "--absolute-git-dir"))


def refuse_repositories(path: Path) -> None:
    """Raise ``Refused`` if a worktree contains a nested repository, or its link to the mirror was replaced.

    Git would enter a nested repository and execute its configuration, outside any sandbox.
    """
    link = path / ".git"
    if link.is_symlink() or not link.is_file() or link.read_bytes() != _link_copy(path).read_bytes():
        raise Refused(f"{path}: the worktree's .git file was replaced")
    for folder, folders, names in os.walk(path):
        here = Path(folder)
        nested = any(name.casefold() == ".git" for name in (*folders, *names)) and here != path
        if nested or {"HEAD", "objects", "refs"} <= {*folders, *names}:
            raise Refused(
                f"{here.relative_to(path)}: a git repository inside the worktree",
                hint="Delete the nested repository; agents must not create one.",
            )


def changed_paths(path: Path) -> list[str]:
    """Return the paths that differ from the checked-out commit, including new files."""
    refuse_repositories(path)
    run(path, "add", "--all", "--intent-to-add")
    text = run(path, "diff", "--name-only", "-z", "--no-renames", "HEAD")
    return [name for name in text.split("\0") if name]


def state(path: Path) -> str:
    """Return a digest of the difference from the checked-out commit; it changes with the worktree."""
    changed = run(
        path, "--no-optional-locks", "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"
    )
    return canonical.digest((changed + run(path, "diff", "--no-ext-diff", "--no-textconv", "HEAD")).encode())


def commit_all(path: Path, *, message: str, author: Author) -> str:
    """Commit everything in the worktree; return the new commit. Raises ``Refused`` for a nested repository."""
    refuse_repositories(path)
    run(path, "add", "--all")
    run(path, "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--message", message, env=author.env())
    return run(path, "rev-parse", "HEAD")


def head(path: Path) -> str:
    """Return the commit that is checked out."""
    return run(path, "rev-parse", "HEAD")


def numbers(path: Path, base: str, head: str) -> list[tuple[str, int, int]]:
    """Return path, added lines and removed lines of each file that differs; 0 and 0 for a binary file."""
    text = run(path, "diff", "--numstat", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", base, head)
    rows = [item.split("\t", 2) for item in text.split("\0") if item]
    return [(name, *(int(count) if count.isdigit() else 0 for count in counts)) for *counts, name in rows]  # type: ignore[misc] # two counts


def diff(folder: Path, base: str, head: str) -> str:
    """Return the unified diff between two commits, without colours, renames or external programs."""
    return run(folder, "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", base, head)


def message(title: str, body: str, trailers: Mapping[str, str]) -> str:
    """Return a commit message with trailers (git docs: git-interpret-trailers)."""
    lines: Sequence[str] = [f"{key}: {value}" for key, value in trailers.items()]
    return "\n\n".join(part for part in (title, body.strip(), "\n".join(lines)) if part) + "\n"


def _link_copy(path: Path) -> Path:
    """Return the path of the copy of the worktree's original .git file, outside the folders that an agent can write."""
    return path.with_name(f"{path.name}.link")


def _untouched(path: Path) -> bool:
    try:
        refuse_repositories(path)
    except (Refused, OSError):
        return False
    return True


def _usable(path: Path) -> bool:
    try:
        run(path, "rev-parse", "HEAD")
    except MachineError:
        return False
    return True
