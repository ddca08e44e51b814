"""A window of a plan: how much of what the plan allows in a time is used."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlanWindow:
    """One window, named by its length (``5 h``, ``7 d``): the used part in percent, and its next start.

    ``resets_at`` is an ISO 8601 time, ``None`` if the provider does not tell it.
    """

    name: str
    used_percent: int
    resets_at: str | None = None

    @property
    def text(self) -> str:
        """Describe the window for people."""
        return f"{self.name}: {self.used_percent} %" + (f", resets {self.resets_at}" if self.resets_at else "")
