"""The only access to the clock."""

import time
from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp() -> str:
    """Return the current time as GitLab writes it: ISO 8601 with milliseconds and ``Z``."""
    return iso(now())


def iso(moment: datetime) -> str:
    """Return a UTC moment as ISO 8601 with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """Return the moment of an ISO 8601 text; raises ``ValueError``."""
    return datetime.fromisoformat(text)


def after(seconds: float) -> datetime:
    """Return the moment ``seconds`` from now."""
    return now() + timedelta(seconds=seconds)


def monotonic() -> float:
    """Return seconds on a clock that never goes back."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Sleep for ``seconds``."""
    time.sleep(seconds)
