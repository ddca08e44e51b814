"""Compares an attempt's consumption with its limits. Pure."""

from dataclasses import dataclass

from factory.model.agent import Reason


@dataclass(frozen=True)
class Bounds:
    """The limits of an attempt: tool calls, seconds, bytes, tokens, millionths of a dollar.

    At ``warn_percent`` of a limit the agent is asked to save its work. An agent that does not stop within
    ``grace_seconds`` after a cancellation is killed.
    """

    turn_seconds: float
    silence_seconds: float
    output_bytes: int
    turns: int = 1_000_000
    tokens: int = 1_000_000_000
    usd_micros: int = 1_000_000_000_000
    warn_percent: int = 100
    grace_seconds: float = 5.0


@dataclass(frozen=True)
class Consumption:
    """The consumption of an attempt so far, in the units of ``Bounds``."""

    turns: int = 0
    seconds: float = 0.0
    silent: float = 0.0
    output: int = 0
    tokens: int = 0
    usd_micros: int = 0


def over(spent: Consumption, bounds: Bounds) -> tuple[Reason, str] | None:
    """Return the exceeded limit, or ``None``."""
    if spent.output > bounds.output_bytes:
        return Reason.CRASHED, f"more than {bounds.output_bytes} bytes of output"
    if spent.silent > bounds.silence_seconds:
        return Reason.STALLED, f"silent for {bounds.silence_seconds:g} s"
    return next((found for found in _reached(spent, bounds, 100)), None)


def near(spent: Consumption, bounds: Bounds) -> tuple[Reason, str] | None:
    """Return the limit of which ``warn_percent`` is exceeded, or ``None``."""
    return next((found for found in _reached(spent, bounds, bounds.warn_percent)), None)


def _reached(spent: Consumption, bounds: Bounds, percent: int) -> list[tuple[Reason, str]]:
    limits = (
        (spent.seconds, bounds.turn_seconds, Reason.TIMED_OUT, f"no end after {bounds.turn_seconds:g} s"),
        (spent.turns, bounds.turns, Reason.TURN_LIMIT, f"{bounds.turns} tool calls"),
        (spent.tokens, bounds.tokens, Reason.BUDGET_EXHAUSTED, f"{bounds.tokens} tokens"),
        (spent.usd_micros, bounds.usd_micros, Reason.BUDGET_EXHAUSTED, f"{bounds.usd_micros / 1e6:.2f} US dollars"),
    )
    part = "" if percent == 100 else f"{percent} % of "  # noqa: PLR2004 - the whole
    return [
        (reason, text if not part or reason is Reason.TIMED_OUT else part + text)
        for used, limit, reason, text in limits
        if used * 100 > limit * percent
    ]
