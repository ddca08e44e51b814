"""Counts and prices an attempt's tokens. Pure.

Money is in millionths of a US dollar, so that sums are exact. Tokens are the model provider's count, else the agent's
report, else an estimate from the transferred bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
class Rates:
    """The prices of a model, in US dollars per million tokens."""

    input: float = 0.0
    cached: float = 0.0
    output: float = 0.0


FREE = Rates()


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
