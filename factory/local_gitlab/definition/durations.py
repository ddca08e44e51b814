"""Reads durations such as ``15 minutes`` or ``1h 30m`` (docs: CI/CD YAML syntax reference, timeout)."""

import re

_PART = re.compile(
    r"\s*(?:and\s+)?(\d+(?:\.\d+)?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|months?|mo|years?|y)?"
    r"(?=\d|\s|,|$),?",
    re.IGNORECASE,
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "mo": 2629746, "y": 31556952}


def or_default(value: object, default: int) -> int:
    """Return a keyword's duration in seconds, or ``default`` if the keyword is missing."""
    return default if value is None else seconds(str(value)) or default


def seconds(text: str) -> int | None:
    """Return a duration in seconds; a number without a unit is seconds, as in GitLab. ``None`` if it can't be read."""
    position, total = 0, 0.0
    text = text.strip()
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return None
        unit = (part[2] or "s").lower()
        total += float(part[1]) * _SECONDS["mo" if unit.startswith("mo") else unit[0]]
        position = part.end()
    return int(total) or None
