"""Compares an attempt's consumption with its limits, and computes costs. Pure.

Money is in millionths of a US dollar, so that sums are exact. Tokens are the model provider's count, else the agent's
report, else an estimate from the transferred bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from factory.model.agent import Reason

# The usual rule of thumb: a token is about four bytes of text or code.
_BYTES_PER_TOKEN = 4
_NAMES = (
    "input_tokens",
    "cached_read_tokens",
    "cached_write_tokens",
    "cached_hour_write_tokens",
    "output_tokens",
    "thought_tokens",
    "total_tokens",
)
# What writing a token to the provider's cache costs, as a multiple of an input token: for five minutes, for an hour
# (Anthropic docs: Prompt caching, Pricing).
_WRITE, _HOUR_WRITE = 1.25, 2.0


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


@dataclass(frozen=True)
class Rates:
    """The prices of a model, in US dollars per million tokens."""

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0


FREE = Rates()


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


def cost(usage: Mapping[str, int], rates: Rates) -> int:
    """Return the cost of tokens.

    ``input_tokens`` include those read from and written to the provider's cache, ``cached_write_tokens`` those written
    for an hour, ``output_tokens`` those of thoughts.
    """
    whole = usage.get("input_tokens", 0)
    cached = min(usage.get("cached_read_tokens", 0), whole)
    written = min(usage.get("cached_write_tokens", 0), whole - cached)
    hour = min(usage.get("cached_hour_write_tokens", 0), written)
    units = (whole - cached - written) + (written - hour) * _WRITE + hour * _HOUR_WRITE
    return round(units * rates.input + cached * rates.cached + usage.get("output_tokens", 0) * rates.output)


def estimate(sent: int, received: int) -> dict[str, int]:
    """Return an estimate of the tokens in ``sent`` bytes to a model and ``received`` bytes from it."""
    inputs, outputs = sent // _BYTES_PER_TOKEN, received // _BYTES_PER_TOKEN
    return {"input_tokens": inputs, "output_tokens": outputs, "total_tokens": inputs + outputs}


def add(*usages: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of usages by name, without names that no usage has."""
    return {name: sum(usage.get(name, 0) for usage in usages) for name in _NAMES if any(name in u for u in usages)}


def total(usage: Mapping[str, int]) -> int:
    """Return the total tokens of a usage: the reported total, or input plus output if that is more."""
    return max(usage.get("total_tokens", 0), usage.get("input_tokens", 0) + usage.get("output_tokens", 0))


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
