"""Searches lines of a change, logs and artifacts for text that looks like a secret."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from factory.errors import OutputTooLarge, Refused
from factory.model.facts import Problem, ToolRun
from factory.system import files, process

_LARGEST = 32 * 1024 * 1024
# A longer line is searched in parts; a secret of up to the overlap's length stands whole in one of them.
_PART, _OVERLAP = 4096, 2048

# A name that says that its value is secret, and what stands between a name and its value in code, YAML and `.env`.
_WORD = re.compile(r"(?i)password|passwd|secret|api_?key|token")
_NAME = rf"(?i:\b[\w-]{{0,40}}(?:{_WORD.pattern.removeprefix('(?i)')})"
_SIGN = r"[\"']?\s*[:=]\s*"
# The start of a value that a program drew: letters and at least one digit, but no path, call or reference.
_CHARACTER = "[A-Za-z0-9+/_=~-]"
_DRAWN = rf"(?={_CHARACTER}*[0-9])(?={_CHARACTER}*[A-Za-z])[A-Za-z0-9+_=~-]{_CHARACTER}"
_ASSIGNED = "assigned-secret"
# The prefixes of other services' tokens, as their own documentation gives them.
_SERVICES = (
    r"\bnpm_[A-Za-z0-9]{36}",
    r"\bpypi-AgE[\w-]{50,}",
    r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{20,}",
    r"\bwhsec_[A-Za-z0-9+/=]{24,}",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bSG\.[\w-]{20,}\.[\w-]{40,}",
    r"\bdo[opr]_v1_[0-9a-f]{64}",
    r"\bdckr_[po]at_[\w-]{20,}",
    r"\bGOCSPX-[\w-]{20,}",
    r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}",
    r"\bxapp-\d-[A-Z0-9]{1,40}-\d{1,20}-[0-9a-f]{40,}",
    r"\b\d{8,10}:AA[\w-]{32,}",
    r"\bgl(?:sa|c)_[A-Za-z0-9+/=_]{32,}",
    r"\bsntry[su]_[A-Za-z0-9+/=_]{40,}",
    r"\bshp(?:at|ca|pa|ss)_[0-9a-f]{32}",
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w-]{50,}",
    r"\bhooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/\w{20,}",
    r"\bAccountKey=[A-Za-z0-9+/]{80,}==",
)

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
    ("authorization", re.compile(rf"(?i)\bauthorization{_SIGN}[\"']?(?:bearer|basic|token)\s+[a-z0-9+/_.=~-]{{16,}}")),
    ("service-token", re.compile("|".join(_SERVICES))),
    (
        _ASSIGNED,
        re.compile(
            rf"{_NAME}\b){_SIGN}[\"'](?![$<{{])[^\"'\s]{{12,}}[\"']"
            rf"|{_NAME}\w{{0,20}}){_SIGN}(?:[\"']{_DRAWN}{{11,}}[\"']|{_DRAWN}{{15,}}+(?=[\s,;&\"'`]|$))"
        ),
    ),
)


def shapes(text: str) -> Iterator[str]:
    """Yield the name of each kind of secret that a line seems to contain, never the secret.

    A long line is searched in parts that overlap: a search of the whole takes time with the square of its length.
    """
    plain = text.replace("\0", "")
    parts = [plain[start : start + _PART] for start in range(0, max(1, len(plain) - _OVERLAP), _PART - _OVERLAP)]
    named = [part for part in parts if _WORD.search(part)]
    for name, shape in SHAPES:
        if any(shape.search(part) for part in (named if name == _ASSIGNED else parts)):
            yield name


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
