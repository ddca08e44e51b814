"""Untrusted text as GitLab-flavoured markdown that shows it and does nothing else."""

import re
from collections.abc import Sequence

from factory.reports import findings

_NAME = 80
_ESCAPES = str.maketrans(
    {**{sign: f"\\{sign}" for sign in "\\`*_[]{}#!|~$%^&@"}, "<": "&lt;", ">": "&gt;"},
)
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.:/\[\]-]+")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9_.:/?=&%#~+-]+")


def neutral(text: str, limit: int) -> str:
    r"""Return at most ``limit`` characters of text as one line that GitLab shows as it is, also in a table's cell.

    GitLab looks for references in the rendered text, where an entity is its character again: only a backslash holds
    ``@name``, ``#1`` and their like (Banzai's EscapedCharFilter). It also links what looks like an address, escaped or
    not, but never in a code span, so ``://`` becomes one. Quick actions and block marks count where a line begins.
    The result is at most four times as long as what it shows.
    """
    line = findings.plain(text)
    line = (line if len(line) <= limit else line[: limit - 1].rstrip() + "…").translate(_ESCAPES)
    line = re.sub(r"(?::/{2,})+", lambda found: f"`{found[0]}`", line)
    line = re.sub(r"(?i)(www)\.", r"\1\\.", line)
    line = re.sub(r"^(\d+)(?=[.)])", r"\1\\", line)
    return re.sub(r"^(?=[-+=:/])", r"\\", line)


def name(text: str) -> str:
    """Return an identifier, path or digest as code where it is plain enough for that, else as neutral text."""
    if len(text) <= _NAME and _IDENTIFIER.fullmatch(text):
        return f"`{text}`"
    return neutral(text, _NAME)


def link(label: str, url: str) -> str:
    """Return a link with a neutral label; an address that could end the link early is shown as text."""
    text = neutral(label, _NAME)
    return f"[{text}]({url})" if _ADDRESS.fullmatch(url) and len(url) <= 4 * _NAME else f"{text}: {neutral(url, _NAME)}"


def fit(lines: Sequence[str], share: int) -> list[str]:
    """Return the first lines that fit into ``share`` characters, and how many are left out."""
    kept = []
    for line in lines:
        share -= len(line) + 1
        if share < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    return [*kept, *(["", f"… and {left} more, left out here."] if left else [])]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines behind a title that a reader opens; nothing where there are no lines. The title is not escaped."""
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"] if lines else []


def some(texts: Sequence[str], most: int) -> str:
    """Return the first ``most`` texts in a row, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def count(number: int, noun: str) -> str:
    """Return a number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(seconds: float) -> str:
    """Return a time span in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        " ".join(f"{value} {unit}" for value, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if value) or "0 s"
    )
