"""Shell patterns over paths, where ``*`` stays within a folder and ``**`` crosses folders."""

import functools
import re
from collections.abc import Sequence


def matches(path: str, patterns: Sequence[str]) -> str | None:
    """Return the first pattern that covers the path, or ``None``."""
    return next((pattern for pattern in patterns if _compiled(pattern).fullmatch(path)), None)


@functools.cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    translated = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(translated.get(part, re.escape(part)) for part in parts))
