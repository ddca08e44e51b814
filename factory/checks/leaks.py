"""Searches lines of a change, logs and artifacts for text that looks like a secret."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from factory.checks.assigned_secrets import assigns_secret
from factory.checks.secret_shapes import SHAPES
from factory.errors import OutputTooLarge, Refused
from factory.model.tool_run import Problem, ToolRun
from factory.system import files, process

_LARGEST = 32 * 1024 * 1024
# A longer line is searched in parts; a secret of up to the overlap's length stands whole in one of them.
_PART, _OVERLAP = 4096, 2048
ASSIGNED = "assigned-secret"


def shapes(text: str) -> Iterator[str]:
    """Yield the name of each kind of secret that a line seems to contain, never the secret.

    A long line is searched in parts that overlap: a search of the whole takes time with the square of its length.
    """
    plain = text.replace("\0", "")
    parts = [plain[start : start + _PART] for start in range(0, max(1, len(plain) - _OVERLAP), _PART - _OVERLAP)]
    for name, shape in SHAPES:
        if any(shape.search(part) for part in parts):
            yield name
    if any(assigns_secret(part) for part in parts):
        yield ASSIGNED


def in_history(folder: Path, base: str, head: str, *, env: Mapping[str, str]) -> ToolRun:
    """Return what looks like a secret in the message, paths or added lines of any commit of a change.

    A secret that a later commit removes was still pushed. Raises ``ToolFailed``.
    """
    span, log = f"{base}..{head}", ["git", "log", "--no-color"]
    patch = [*log, "--patch", "--unified=0", "--text", "--no-ext-diff", "--no-textconv", "--no-renames"]
    try:
        messages = process.run([*log, "--no-patch", "--format=commit %h%x00%n%B", span], cwd=folder, env=env).text
        changes = process.run([*patch, "--format=commit %h%x00", span], cwd=folder, env=env).text
    except OutputTooLarge as error:
        return ToolRun(problem=f"the change is too large to search: {error}")
    found: dict[Problem, None] = {}
    for text, removed in ((messages, ()), (changes, ("-", "@@", "index "))):
        commit = ""
        for line in text.split("\n"):
            # No message holds a NUL, and every line of a patch's content begins with a sign.
            if line.startswith("commit ") and line.endswith("\0"):
                commit = line[7:-1]
            elif not line.startswith(removed):
                found |= {Problem(name, f"commit {commit}", 0, ""): None for name in shapes(line)}
    return ToolRun(tuple(found))


def scan(folder: Path) -> ToolRun:
    """Return what looks like a secret in the files below a folder of job logs and artifacts."""
    found: list[Problem] = []
    try:
        paths = list(files.below(folder))
    except Refused as error:
        return ToolRun(problem=str(error))
    for path in paths:
        if not path.is_file() or path.is_symlink():
            continue
        if path.stat().st_size > _LARGEST:
            return ToolRun(problem=f"{path.relative_to(folder)} is too large to search")
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError as error:
            return ToolRun(problem=f"{path.relative_to(folder)} cannot be read: {error.strerror}")
        for number, line in enumerate(text.split("\n"), 1):
            found += (Problem(name, str(path.relative_to(folder)), number, "") for name in shapes(line))
    return ToolRun(tuple(found))
