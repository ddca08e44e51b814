"""Searches lines of a change, logs and artifacts for text that looks like a secret."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from factory.model.facts import Problem, ToolRun
from factory.system import process

_LARGEST = 32 * 1024 * 1024

SHAPES = (
    ("private-key", re.compile(r"-----BEGIN (?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----")),
    ("gitlab-token", re.compile(r"\bgl(?:pat|dt|rt|cbt|oas|ft|agent|soat|ptt|imt)-[A-Za-z0-9_-]{16,}")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("github-token", re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("openai-key", re.compile(r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{24,}")),
    ("slack-token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20,}")),
    ("google-key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("vault-token", re.compile(r"\b(?:hvs|hvb|s)\.[A-Za-z0-9_-]{24,}")),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
    ("url-password", re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{1,100}:[^\s/@]{6,200}@")),
    (
        "assigned-secret",
        re.compile(
            r"(?i)\b[\w-]{0,40}(?:password|passwd|secret|api_?key|token)\b[\"']?\s*[:=]\s*[\"'][^\"'\s]{12,}[\"']"
        ),
    ),
)


def shapes(text: str) -> Iterator[str]:
    """Yield the name of each kind of secret that a line seems to contain, never the secret."""
    plain = text.replace("\0", "")
    for name, shape in SHAPES:
        if shape.search(plain):
            yield name


def in_history(folder: Path, base: str, head: str, *, env: Mapping[str, str]) -> ToolRun:
    """Return what looks like a secret in the message, paths or added lines of any commit of a change.

    A secret that a later commit removes was still pushed. Raises ``ToolFailed``.
    """
    log = [
        "git",
        "log",
        "--patch",
        "--unified=0",
        "--text",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
    ]
    text = process.run([*log, "--format=commit %h%n%B", f"{base}..{head}"], cwd=folder, env=env).text
    found: dict[Problem, None] = {}
    commit = ""
    for line in text.replace("\0", "").split("\n"):
        if line.startswith("commit "):
            commit = line[7:]
        if not line.startswith(("-", "@@", "index ")):
            found |= {Problem(name, f"commit {commit}", 0, ""): None for name in shapes(line)}
    return ToolRun(tuple(found))


def scan(folder: Path) -> ToolRun:
    """Return what looks like a secret in the files below a folder of job logs and artifacts."""
    found: list[Problem] = []
    for path in sorted(folder.rglob("*")):
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
