"""The time that a whole run may take, and what of it is left."""

from dataclasses import dataclass

from factory.errors import ProofFailed
from factory.system import clock

# Seconds of a whole run, and of these the ones that are kept for deleting what the run made.
SECONDS, CLEAN_UP = 900.0, 150.0


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock, in seconds."""

    at: float

    def left(self) -> float:
        """Return the seconds that are left; raises ``ProofFailed`` if there are none."""
        seconds = self.at - clock.monotonic()
        if seconds <= 0:
            raise ProofFailed("the time of the run is over", hint="Read in the report which step took so long.")
        return seconds

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return clock.monotonic() >= self.at

    def earlier(self, seconds: float) -> "Deadline":
        """Return a deadline that is ``seconds`` earlier."""
        return Deadline(self.at - seconds)

    def with_at_least(self, seconds: float) -> "Deadline":
        """Return the deadline, or a later one that leaves ``seconds`` from now."""
        return Deadline(max(self.at, clock.monotonic() + seconds))


def begin(seconds: float = SECONDS) -> Deadline:
    """Return the deadline of a run that begins now."""
    return Deadline(clock.monotonic() + seconds)
