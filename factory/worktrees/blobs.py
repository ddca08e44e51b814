"""Reads files of a commit with git itself, whole or not at all: a git that is killed half-way gives an error."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import git

from factory.errors import MachineError

_REGULAR = "blob"
# Nobody's configuration: what a user's own says must not change what the factory reads and writes.
NOBODY = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True)
class Blob:
    """A file of a commit: its path and the SHA of its content."""

    path: str
    sha: str


def listed(folder: Path, revision: str, prefix: str = "") -> list[Blob]:
    """Return the files of a revision, or those at or below ``prefix``; raises ``MachineError`` if git fails."""
    argv = ["git", "ls-tree", "-r", "-z", "--full-tree", revision, *(["--", prefix] if prefix else [])]
    found = []
    for line in _run(folder, argv).split(b"\0"):
        if line:
            meta, path = line.split(b"\t", 1)
            _, kind, sha = meta.decode().split(" ", 2)
            found += [Blob(path.decode(errors="surrogateescape"), sha)] if kind == _REGULAR else []
    return found


def contents(folder: Path, blobs: Sequence[Blob]) -> list[bytes]:
    """Return the contents of files, in their order; raises ``MachineError`` if git fails or leaves one out.

    The caller knows who wrote them: of files that others may write, ``output.blob`` reads the beginning.
    """
    if not blobs:
        return []
    asked = "".join(f"{item.sha}\n" for item in blobs)
    output, place, found = _run(folder, ["git", "cat-file", "--batch"], asked.encode()), 0, []
    for item in blobs:
        end = output.find(b"\n", place)
        sha, kind, size = [*output[place:end].decode().split(" "), "", "", ""][:3]
        last = end + 1 + (int(size) if size.isdigit() else 0)
        if end < 0 or (sha, kind) != (item.sha, _REGULAR) or output[last : last + 1] != b"\n":
            raise MachineError(f"git cat-file failed: {item.path} could not be read")
        found.append(output[end + 1 : last])
        place = last + 1
    return found


def _run(folder: Path, argv: Sequence[str], stdin: bytes = b"") -> bytes:
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        try:
            code, out, err = git.Git(str(folder)).execute(
                list(argv),
                istream=source,
                env={**NOBODY, "GIT_LITERAL_PATHSPECS": "1"},
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except git.exc.GitCommandNotFound as error:
            raise MachineError("git is not installed", hint="Install git and run the command again.") from error
    if code != 0:
        raise MachineError(f"{' '.join(argv[:2])} failed: {str(err).strip() or f'exit code {code}'}")
    return bytes(out)
