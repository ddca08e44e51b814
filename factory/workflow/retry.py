"""Decides by the error's type whether a failed step is tried again. Pure."""

from factory.errors import FactoryError, Unreachable

_DELAYS = (0.2, 0.5, 1.0, 2.0, 4.0)


def delay(error: FactoryError, tries: int) -> float | None:
    """Return the seconds to wait before the next try, or ``None`` to give up; ``tries`` counts the tries so far."""
    if isinstance(error, Unreachable) and tries <= len(_DELAYS):
        return _DELAYS[tries - 1]
    return None
