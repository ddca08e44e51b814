"""Matches paths with shell patterns, in which ``*`` stays within a folder and ``**`` crosses folders."""

import functools
import re
import unicodedata
from collections.abc import Sequence

# Control, format (direction, zero width), surrogate, private and unassigned characters: people and file systems may
# ignore them. A later Unicode version may fold an unassigned character into another.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def matches(path: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that matches the path, or ``None``; the comparison is case-sensitive."""
    return next((pattern for pattern in patterns if _compiled(pattern).fullmatch(path)), None)


def touches(path: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that matches the path on any file system, or ``None``.

    macOS and Windows ignore case and Unicode composition in names. A protected path is therefore compared as written,
    and again with case and composition folded.
    """
    folded = fold(path)
    return next(
        (
            pattern
            for pattern in patterns
            if _compiled(pattern).fullmatch(path) or _compiled(fold(pattern)).fullmatch(folded)
        ),
        None,
    )


def fold(text: str) -> str:
    """Return the text with case and Unicode composition folded: equal for names that a file system may confuse."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def odd(path: str) -> str | None:
    """Return why a path cannot be compared with patterns, or ``None`` for a plain path as git writes it."""
    parts = path.split("/")
    found = {
        "is empty": not path,
        "is absolute": path.startswith("/"),
        "has a backslash, which some systems read as a slash": "\\" in path,
        "has invisible characters": any(unicodedata.category(item) in _HIDDEN for item in path),
        "is not in Unicode's composed form (NFC)": unicodedata.normalize("NFC", path) != path,
        "has an empty part, `.` or `..`": any(part in {"", ".", ".."} for part in parts),
        "has a part that ends with a dot or a space, which some systems drop": any(
            part.endswith((".", " ")) for part in parts
        ),
    }
    return next((problem for problem, holds in found.items() if holds), None)


def unmatchable(pattern: str) -> str | None:
    """Return why a pattern cannot match any plain path, or ``None``."""
    return odd(pattern.replace("*", "x").replace("?", "x"))


@functools.cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    translated = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(translated.get(part, re.escape(part)) for part in parts), re.DOTALL)
