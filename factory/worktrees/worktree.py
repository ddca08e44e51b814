"""A session's worktree: created from the mirror, reset to a known commit, committed by the factory."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from factory.errors import MachineError, Refused
from factory.system import files, git_locks
from factory.worktrees import output
from factory.worktrees.repository import Author, Mirror, run

# Bytes: the largest file that is committed (GitLab docs: the default limit of a push), and that a diff shows as text.
_LARGEST, _SHOWN = 100 * 2**20, 8 * 2**20
_TEXT = ("-c", f"core.bigFileThreshold={_SHOWN}")


def prepare(mirror: Mirror, path: Path, *, commit: str) -> None:
    """Create the worktree or reset an existing one: ``commit`` checked out, detached, without any other file.

    A lock serialises this, because git may fail if two worktrees are added to one repository at once.
    """
    with files.locked(mirror.path / "worktrees.lock"):
        if _untouched(path) and _usable(path):
            git_locks.remove_stale(git_dir(path), seconds=0)  # nobody else works in this session's worktree
            # First without the files that an agent added: git obeys a .gitattributes while it writes the others.
            run(path, "read-tree", "--reset", commit)
            run(path, "clean", "-ffdxq")
            run(path, "reset", "--hard", "--quiet", commit)
            return
        files.remove_tree(path)
        _prune(mirror)
        run(mirror.path, "worktree", "add", "--quiet", "--detach", str(path), commit)
        files.write_atomic(_link_copy(path), (path / ".git").read_bytes())


def remove(mirror: Mirror, path: Path) -> None:
    """Delete the worktree and its entry in the mirror."""
    with files.locked(mirror.path / "worktrees.lock"):
        files.remove_tree(path)
        _prune(mirror)


def _prune(mirror: Mirror) -> None:
    """Remove the entries of worktrees that are gone; git keeps a locked one, as a killed `git worktree add` leaves."""
    for lock in (mirror.path / "worktrees").glob("*/locked"):
        lock.unlink()
    run(mirror.path, "worktree", "prune")


def git_dir(path: Path) -> Path:
    """Return the worktree's git directory, a folder in the mirror."""
    return Path(run(path, "rev-parse", "--absolute-git-dir"))


def refuse_repositories(path: Path) -> None:
    """Raise ``Refused`` for a nested repository, a replaced link to the mirror, or folders nested without end.

    Git would enter a nested repository and execute its configuration, outside any sandbox.
    """
    link = path / ".git"
    if link.is_symlink() or not link.is_file() or link.read_bytes() != _link_copy(path).read_bytes():
        raise Refused(f"{path}: the worktree's .git file was replaced")
    for here, folders, names in files.walk(path):
        nested = any(name.casefold() == ".git" for name in (*folders, *names)) and here != path
        if nested or {"HEAD", "objects", "refs"} <= {*folders, *names}:
            raise Refused(
                f"{here.relative_to(path)}: a git repository inside the worktree",
                hint="Delete the nested repository; agents must not create one.",
            )


def changed_paths(path: Path) -> list[str]:
    """Return the paths that differ from the checked-out commit, including new files."""
    refuse_repositories(path)
    _add(path, "--intent-to-add")
    text = run(path, "diff", "--name-only", "-z", "--no-renames", "HEAD")
    return [name for name in text.split("\0") if name]


def state(path: Path) -> str:
    """Return a digest of the difference from the checked-out commit; it changes with the worktree.

    A worktree that git cannot read, as an agent can make it, has one digest.
    """
    status = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    found = hashlib.sha256()
    try:
        for arguments in (("--no-optional-locks", *status), (*_TEXT, "diff", "--no-ext-diff", "--no-textconv", "HEAD")):
            for part in output.chunks(path, *arguments):  # names and lines in any encoding, and of any number
                found.update(part)
    except MachineError:
        found = hashlib.sha256(b"unreadable")
    return found.hexdigest()


def commit_all(path: Path, *, message: str, author: Author) -> str:
    """Commit everything in the worktree; return the new commit.

    Raises ``Refused`` for a nested repository, a file too large for GitLab, and what git cannot add.
    """
    refuse_repositories(path)
    _add(path)
    run(path, "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--message", message, env=author.env())
    return run(path, "rev-parse", "HEAD")


def _add(path: Path, *options: str) -> None:
    """Add everything to the index; raises ``Refused`` for a file that is too large, or if git cannot, with its reason.

    Git cannot if a .gitattributes names an encoding that a file does not have, for example.
    """
    # Before git reads them: a sparse file of terabytes takes no space on the disk.
    listed = run(path, "ls-files", "-z", "--others", "--modified", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        with suppress(OSError):
            if (size := (path / name).lstat().st_size) > _LARGEST:
                raise Refused(f"{name} has {size} bytes; a file may have {_LARGEST}", hint="Leave the file out.")
    run(path, "add", "--all", *options, failure=Refused)


def head(path: Path) -> str:
    """Return the commit that is checked out."""
    return run(path, "rev-parse", "HEAD")


def numbers(path: Path, base: str, head: str) -> list[tuple[str, int, int]]:
    """Return path, added lines and removed lines of each file that differs; 0 and 0 for a binary file."""
    text = run(path, *_TEXT, "diff", "--numstat", "-z", "--no-ext-diff", "--no-textconv", "--no-renames", base, head)
    rows = [item.split("\t", 2) for item in text.split("\0") if item]
    return [(name, *(int(count) if count.isdigit() else 0 for count in counts)) for *counts, name in rows]  # type: ignore[misc] # two counts


def diff(folder: Path, base: str, head: str, *, most: int) -> tuple[str, bool]:
    """Return the unified diff between two commits, without colours, renames or external programs.

    It is cut after ``most`` bytes; the second value says whether it was. A file of more than 8 MiB is shown as binary.
    """
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
    found, longer = output.beginning(folder, *_TEXT, "diff", *options, base, head, most=most)
    return found.decode(errors="replace"), longer


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
