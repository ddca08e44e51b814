"""Escapes untrusted text for GitLab-flavoured markdown, so that GitLab shows it and does nothing else with it."""

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
    r"""Return at most ``limit`` characters of text as one line that GitLab shows literally, also in a table cell.

    GitLab finds references such as ``@name`` and ``#1`` in the rendered text, where an entity is a plain character
    again; only a backslash prevents them (Banzai's EscapedCharFilter). GitLab also links URLs, escaped or not, but not
    in a code span, so ``://`` becomes a code span. Quick actions and block marks only work at the start of a line. The
    result is at most four times as long as the shown text.
    """
    line = findings.plain(text)
    line = (line if len(line) <= limit else line[: limit - 1].rstrip() + "…").translate(_ESCAPES)
    line = re.sub(r"(?::/{2,})+", lambda found: f"`{found[0]}`", line)
    line = re.sub(r"(?i)(www)\.", r"\1\\.", line)
    line = re.sub(r"^(\d+)(?=[.)])", r"\1\\", line)
    return re.sub(r"^(?=[-+=:/])", r"\\", line)


def name(text: str) -> str:
    """Return an identifier, path or digest as code if it has only plain characters, else as neutral text."""
    if len(text) <= _NAME and _IDENTIFIER.fullmatch(text):
        return f"`{text}`"
    return neutral(text, _NAME)


def link(label: str, url: str) -> str:
    """Return a link with a neutral label; a URL that could end the link early is shown as text."""
    text = neutral(label, _NAME)
    return f"[{text}]({url})" if _ADDRESS.fullmatch(url) and len(url) <= 4 * _NAME else f"{text}: {neutral(url, _NAME)}"


def fit(lines: Sequence[str], share: int) -> list[str]:
    """Return the first lines that fit into ``share`` characters, and a line with the number of the others."""
    shown = []
    for line in lines:
        share -= len(line) + 1
        if share < 0:
            break
        shown.append(line)
    left = len(lines) - len(shown)
    return [*shown, *(["", f"… and {left} more, not shown here."] if left else [])]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return the lines in a collapsible section, or nothing if there are no lines. The title is not escaped."""
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"] if lines else []


def some(texts: Sequence[str], most: int) -> str:
    """Return the first ``most`` texts, separated by commas, and the number of the others."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def count(number: int, noun: str) -> str:
    """Return a number and a noun, in the plural if the number is not 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(seconds: float) -> str:
    """Return a time span in hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        " ".join(f"{value} {unit}" for value, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if value) or "0 s"
    )
