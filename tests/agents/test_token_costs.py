"""Limits, prices and sums of tokens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.agents import attempt_limits, token_costs
from factory.agents.attempt_limits import Bounds, Consumption
from factory.agents.token_costs import Rates
from factory.model.agent import Reason

BOUNDS = Bounds(
    turn_seconds=100,
    silence_seconds=50,
    output_bytes=1000,
    turns=10,
    tokens=1000,
    usd_micros=2_000_000,
    warn_percent=80,
)


@pytest.mark.parametrize(
    ("spent", "reason", "told"),
    [
        (Consumption(), None, ""),
        (Consumption(10, 100, 50, 1000, 1000, 2_000_000), None, ""),
        (Consumption(turns=11), Reason.TURN_LIMIT, "10 tool calls"),
        (Consumption(seconds=101), Reason.TIMED_OUT, "no end after 100 s"),
        (Consumption(silent=51), Reason.STALLED, "silent for 50 s"),
        (Consumption(output=1001), Reason.CRASHED, "more than 1000 bytes of output"),
        (Consumption(tokens=1001), Reason.BUDGET_EXHAUSTED, "1000 tokens"),
        (Consumption(usd_micros=2_000_001), Reason.BUDGET_EXHAUSTED, "2.00 US dollars"),
    ],
)
def test_each_limit_ends_an_attempt_once_it_is_passed(spent: Consumption, reason: Reason | None, told: str) -> None:
    assert attempt_limits.over(spent, BOUNDS) == (None if reason is None else (reason, told))


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        (Consumption(8, 80, 1000, 10**9, 800, 1_600_000), None),
        (Consumption(turns=9), Reason.TURN_LIMIT),
        (Consumption(seconds=80.1), Reason.TIMED_OUT),
        (Consumption(tokens=801), Reason.BUDGET_EXHAUSTED),
        (Consumption(usd_micros=1_600_001), Reason.BUDGET_EXHAUSTED),
    ],
)
def test_a_limit_is_near_past_its_share(spent: Consumption, reason: Reason | None) -> None:
    found = attempt_limits.near(spent, BOUNDS)
    assert (found and found[0]) == reason
    assert attempt_limits.near(spent, replace(BOUNDS, warn_percent=100)) is None


def test_prices_count_what_is_cached_apart() -> None:
    usage = {"input_tokens": 100, "cached_read_tokens": 40, "output_tokens": 10, "thought_tokens": 5}
    assert token_costs.cost(usage, Rates(2.5, 0.25, 10)) == 60 * 2.5 + 40 * 0.25 + 10 * 10
    assert token_costs.cost({}, Rates(1, 1, 1)) == 0


def test_writing_a_cache_costs_more_than_reading_it() -> None:
    usage = {"input_tokens": 100, "cached_read_tokens": 20, "cached_write_tokens": 50, "cached_hour_write_tokens": 30}
    assert token_costs.cost(usage, Rates(4, 1, 10)) == 30 * 4 + 20 * 4 * 1.25 + 30 * 4 * 2 + 20 * 1


NAMES = [
    "input_tokens",
    "cached_read_tokens",
    "cached_write_tokens",
    "output_tokens",
    "thought_tokens",
    "total_tokens",
]
NUMBERS = st.integers(0, 10**9)
USAGES = st.dictionaries(
    st.sampled_from(
        ["input_tokens", "cached_read_tokens", "cached_write_tokens", "output_tokens", "thought_tokens", "total_tokens"]
    ),
    NUMBERS,
)
RATES = st.builds(Rates, *(st.floats(0, 1000) for _ in range(3)))


@given(st.lists(USAGES), RATES)
def test_sums_are_exact_and_nothing_is_below_nought(usages: list[dict[str, int]], rates: Rates) -> None:
    whole = token_costs.add(*usages)
    for name in {name for usage in usages for name in usage}:
        assert whole[name] == sum(usage.get(name, 0) for usage in usages)
    assert token_costs.cost(whole, rates) >= 0
    assert token_costs.total(whole) >= whole.get("input_tokens", 0) + whole.get("output_tokens", 0)


@given(USAGES, USAGES, RATES)
def test_more_never_costs_less(one: dict[str, int], more: dict[str, int], rates: Rates) -> None:
    cheaper = replace(rates, cached=min(rates.cached, rates.input))
    uncached = {name: value for name, value in more.items() if name != "cached_read_tokens"}
    assert token_costs.cost(token_costs.add(one, uncached), cheaper) >= token_costs.cost(one, cheaper) - 1
    assert token_costs.total(token_costs.add(one, more)) >= token_costs.total(one)


def test_an_estimate_is_by_bytes_and_a_small_total_is_not_believed() -> None:
    assert token_costs.estimate(400, 41) == {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    assert token_costs.total({"total_tokens": 1, "input_tokens": 100}) == 100
    assert token_costs.total({"total_tokens": 500, "input_tokens": 100}) == 500
