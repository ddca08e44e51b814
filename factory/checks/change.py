"""Reads the change between two commits from a checkout with git."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from factory.errors import OutputTooLarge
from factory.model.facts import Change, ChangedFile
from factory.system import process

# Each line of a diff becomes a value of its own, which takes many times its bytes.
_MOST = 64 * 2**20
_SUBMODULE, _LINK = "160000", "120000"
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)")
_SAFE = ("--text", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")


def collect(folder: Path, base: str, head: str, *, env: Mapping[str, str], target: str = "") -> Change:
    """Return the files that differ between two commits and their added lines.

    Raises ``OutputTooLarge`` for a difference of more than 64 MiB, and ``ToolFailed``.

    ``target`` is the target branch's commit; the result counts its commits that ``head`` lacks. A rename counts as one
    removed and one added file, so that moving a protected file away is visible.
    """

    def git(*arguments: str) -> str:
        argv = ["git", "-c", "core.quotePath=false", *arguments]
        # Bytes that are not UTF-8 become escapes, so that different names stay different; policy rejects such names.
        return process.run(argv, cwd=folder, env=env, most=_MOST).stdout.decode(errors="backslashreplace")

    statuses = _pairs(git("diff", "--name-status", "-z", *_SAFE, base, head))
    statuses |= _special(git("diff", "--raw", "-z", *_SAFE, base, head))
    counts = _numstat(git("diff", "--numstat", "-z", *_SAFE, base, head))

    pieces = _pieces(git("diff", "--unified=0", *_SAFE, base, head))
    if len(pieces) != len(statuses):
        # A file that became a link, or the reverse, gives two pieces; then read each path separately.
        pieces = [git("diff", "--unified=0", *_SAFE, base, head, "--", f":(top,literal){path}") for path in statuses]
    binary = _binary(git("diff", "--numstat", "-z", *_SAFE[1:], base, head))
    added = dict(zip(statuses, pieces, strict=True))
    files = tuple(
        ChangedFile(path, status, *counts.get(path, (0, 0)), lines=tuple(_added(added[path])), binary=path in binary)
        for path, status in sorted(statuses.items())
    )
    span = f"{base}..{head}"
    # Messages of commits that a merge brings, such as an app's earlier history, are not the change's.
    messages = tuple(item for item in git("log", "--first-parent", "--format=%B%x00", span).split("\0") if item.strip())
    merges = int(git("rev-list", "--count", "--merges", span))
    behind = int(git("rev-list", "--count", f"{head}..{target}")) if target else 0
    return Change(base, head, files, messages, merges=merges, behind=behind)


def too_large(folder: Path, base: str, head: str, *, env: Mapping[str, str]) -> str:
    """Return why a change cannot be read, with its largest file; raises ``ToolFailed`` if git cannot read the commits.

    The size of a file is that at the commit at which it is larger.
    """
    reason = "the change is too large to be read"
    try:
        listed = process.run(["git", "diff", "--raw", "-z", "--no-abbrev", *_SAFE, base, head], cwd=folder, env=env)
        parts = listed.stdout.decode(errors="backslashreplace").split("\0")
        blobs = [
            (blob, path) for entry, path in zip(parts[::2], parts[1::2], strict=False) for blob in entry.split()[2:4]
        ]
        sizes = process.run(
            ["git", "cat-file", "--batch-check=%(objectsize)"],
            cwd=folder,
            env=env,
            stdin="".join(f"{blob}\n" for blob, _ in blobs).encode(),
        ).text.splitlines()
    except OutputTooLarge:
        return f"{reason}: it has too many files"
    known = [(int(size), path) for size, (_, path) in zip(sizes, blobs, strict=True) if size.isdigit()]
    size, path = max(known, default=(0, ""))
    return f"{reason}: its largest file is {path} ({size >> 20} MiB)" if size >> 20 else reason


def _pieces(text: str) -> list[str]:
    """Split a diff by file, in git's order; only a file's header begins with ``diff --git``."""
    return [piece for piece in re.split(r"^diff --git ", text, flags=re.MULTILINE) if piece]


def _pairs(text: str) -> dict[str, str]:
    parts = text.split("\0")
    return {path: status for status, path in zip(parts[::2], parts[1::2], strict=False) if path}


def _special(text: str) -> dict[str, str]:
    """Return the status ``S`` for paths that are or were submodules, and ``L`` for paths that are now links."""
    parts = text.split("\0")
    found = {}
    for entry, path in zip(parts[::2], parts[1::2], strict=False):
        modes = entry.removeprefix(":").split(" ")[:2]
        if _SUBMODULE in modes:
            found[path] = "S"
        elif modes[-1] == _LINK:
            found[path] = "L"
    return found


def _numstat(text: str) -> dict[str, tuple[int, int]]:
    found = {}
    for record in filter(None, text.split("\0")):
        added, removed, path = record.split("\t", 2)
        found[path] = (int(added) if added.isdigit() else 0, int(removed) if removed.isdigit() else 0)
    return found


def _binary(text: str) -> set[str]:
    """Return the paths that git treats as binary without ``--text``."""
    return {record.split("\t", 2)[2] for record in text.split("\0") if record.startswith("-\t-\t")}


def _added(text: str) -> list[tuple[int, str]]:
    """Return number and text of each line that one file's diff adds; only a line feed ends a line."""
    found: list[tuple[int, str]] = []
    number, inside = 0, False
    for line in text.split("\n"):
        match = _HUNK.match(line)
        if match:
            number, inside = int(match.group(1)), True
        elif inside and line.startswith("+"):
            found.append((number, line[1:]))
            number += 1
    return found


def check_out(folder: Path, commit: str, target: Path, *, env: Mapping[str, str]) -> None:
    """Write a commit's files into an empty folder, without a change to the checkout; raises ``ToolFailed``."""
    with tempfile.TemporaryDirectory(prefix="factory-index-") as name:
        given = {**env, "GIT_INDEX_FILE": str(Path(name) / "index")}
        process.run(["git", "read-tree", commit], cwd=folder, env=given)
        process.run(["git", "checkout-index", "--quiet", "--all", f"--prefix={target}/"], cwd=folder, env=given)
