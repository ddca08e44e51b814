"""A window of a plan: how much of what the plan allows in a time is used."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_NEAR = timedelta(hours=24)


@dataclass(frozen=True)
class PlanWindow:
    """One window, named by its length (``5 h``, ``7 d``): the used part in percent, and its next start.

    ``resets_at`` is an ISO 8601 time, ``None`` if the provider does not tell it.
    """

    name: str
    used_percent: int
    resets_at: str | None = None

    def text(self, now: datetime) -> str:
        """Describe the window for people, in UTC; a window that has ended since is unused again."""
        used = f"{self.name}: {self.used_percent} %"
        if self.resets_at is None:
            return used
        at = datetime.fromisoformat(self.resets_at)
        when = f"{at:%H:%M}" if abs(at - now) < _NEAR else f"{at:%Y-%m-%d %H:%M}"
        return (
            f"{used}, resets {when} UTC"
            if at > now
            else f"{self.name}: 0 %, was {self.used_percent} % until {when} UTC"
        )
