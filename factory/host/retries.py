"""When a release that could not be fetched or started is tried again: each time after twice the pause."""

from collections.abc import Callable
from dataclasses import dataclass

from factory.errors import FactoryError, Unreachable
from factory.host.supervisor import app_of
from factory.system import clock

# Seconds until the first repetition, and at most.
_FIRST, _LAST = 15.0, 900.0


@dataclass(frozen=True)
class _Failure:
    why: str
    pause: float
    again: float


class Retries:
    """The releases that failed, why, and when each may be tried again; ``say`` receives a line for each failure."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._failures: dict[str, _Failure] = {}

    def attempt(self, name: str, act: Callable[[], None]) -> None:
        """Call ``act`` for a release, unless it failed a short while ago; a failure is said and remembered."""
        known = self._failures.get(name)
        if known is not None and clock.monotonic() < known.again:
            return
        try:
            act()
        except (FactoryError, OSError) as error:  # a full disk, too: what runs goes on
            self.failed(name, error)
        else:
            self.forget(name)

    def failed(self, name: str, error: Exception) -> None:
        """Remember why a release failed; an unreachable server does not make its pause longer."""
        known = self._failures.get(name)
        pause = _FIRST if known is None or isinstance(error, Unreachable) else min(known.pause * 2, _LAST)
        self._failures[name] = _Failure(str(error), pause, clock.monotonic() + pause)
        self._say(f"{name} does not run: {error}; tried again in {pause:g} s")

    def forget(self, name: str) -> None:
        """Let a release be tried at once."""
        self._failures.pop(name, None)

    def forget_app(self, app: str) -> None:
        """Let every release of an app be tried at once."""
        for name in [name for name in self._failures if app_of(name) == app]:
            del self._failures[name]

    def why(self, name: str) -> str:
        """Return the first line of why a release failed, empty if it did not; the other lines are its log."""
        failure = self._failures.get(name)
        return failure.why.partition("\n")[0] or "it failed" if failure else ""
