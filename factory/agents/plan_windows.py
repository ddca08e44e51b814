"""Reads a plan's windows from the headers of its provider's answers. Pure.

The names and units are those that the programs themselves read: Codex 0.166.0 (``x-codex-…``, percent, minutes, seconds
since 1970) and Claude Code 2.1.185 (``anthropic-ratelimit-unified-…``, a part of 1, seconds since 1970). No real answer
was seen. A header that is absent, malformed or out of range is as if it were not there.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from factory.model.plan_window import PlanWindow
from factory.system import clock

Windows = tuple[PlanWindow, ...]
# More than 100 % is what a plan serves beyond its window, for example for extra money.
_MOST_PERCENT = 1000
_LONGEST = timedelta(days=400)
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?")
_HOUR, _DAY = 60, 1440
_CODEX = ("primary", "secondary")
_ANTHROPIC: Mapping[str, str] = {"5h": "5 h", "7d": "7 d"}


def read(headers: Mapping[str, str], now: datetime) -> Windows:
    """Return the windows that an answer's headers (names in lower case) tell of, the shortest first."""
    found = [_codex(headers, name, now) for name in _CODEX]
    found += [_anthropic(headers, name, now) for name in _ANTHROPIC]
    return tuple(window for window in found if window is not None)


def _codex(headers: Mapping[str, str], name: str, now: datetime) -> PlanWindow | None:
    prefix = f"x-codex-{name}"
    percent = _percent(headers.get(f"{prefix}-used-percent", ""), 1)
    if percent is None:
        return None
    minutes = _number(headers.get(f"{prefix}-window-minutes", ""))
    after = _number(headers.get(f"{prefix}-reset-after-seconds", ""))
    at = _number(headers.get(f"{prefix}-reset-at", ""))
    at = now.timestamp() + after if at is None and after is not None else at
    return PlanWindow(_length(minutes) or name, percent, _moment(at, now))


def _anthropic(headers: Mapping[str, str], name: str, now: datetime) -> PlanWindow | None:
    prefix = f"anthropic-ratelimit-unified-{name}"
    percent = _percent(headers.get(f"{prefix}-utilization", ""), 100)
    if percent is None:
        return None
    return PlanWindow(_ANTHROPIC[name], percent, _moment(_number(headers.get(f"{prefix}-reset", "")), now))


def _number(text: str) -> float | None:
    plain = text.strip()
    return float(plain) if plain.isascii() and _NUMBER.fullmatch(plain) else None


def _percent(text: str, scale: int) -> int | None:
    found = _number(text)
    return None if found is None or found * scale > _MOST_PERCENT else round(found * scale)


def _length(minutes: float | None) -> str:
    """Return a window's length in whole days, hours or minutes; empty for none."""
    if not minutes or minutes > _LONGEST / timedelta(minutes=1):
        return ""
    whole = math.ceil(minutes)
    if whole % _DAY == 0:
        return f"{whole // _DAY} d"
    return f"{whole // _HOUR} h" if whole % _HOUR == 0 else f"{whole} min"


def _moment(seconds: float | None, now: datetime) -> str | None:
    """Return a time near now as ISO 8601 in minutes, or ``None``."""
    if seconds is None or abs(seconds - now.timestamp()) > _LONGEST.total_seconds():
        return None
    return clock.iso(datetime.fromtimestamp(seconds, UTC).replace(second=0, microsecond=0))
