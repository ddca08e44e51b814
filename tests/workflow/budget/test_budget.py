"""Tests of budgets: sessions never exceed a limit together, and every entry is either read or refused."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.policies.agents import Cap, SpendingLimits
from factory.system import data
from factory.workflow.budget import budget, ledger
from factory.workflow.budget.budget import (
    RESERVED,
    SPENT,
    Amount,
    BudgetIncrease,
    BudgetState,
    Denial,
    Entry,
    Reservation,
)

CAPS = SpendingLimits(
    run=Cap(tokens=100, usd=1), issue=Cap(tokens=150, usd=2), day=Cap(tokens=250, usd=3), month=Cap(tokens=400, usd=5)
)


def entry(
    issue: int = 1,
    session: str = "s",
    number: int = 1,
    *,
    day: str = "2026-11-20",
    state: str = RESERVED,
    tokens: int = 0,
) -> Entry:
    session += str(issue)
    return Entry(f"{issue}/{session}/{number}", issue, session, day, "a", "m", state, tokens, tokens * 10_000)


def admit(
    *entries: Entry, wanted: Entry | None = None, increases: tuple[BudgetIncrease, ...] = ()
) -> Reservation | Denial:
    wanted = wanted or entry(number=9, tokens=60)
    return budget.reserve(entries, CAPS, increases, wanted)[0]


def test_a_request_is_granted_in_full_or_in_part_or_denied() -> None:
    assert admit() == Reservation(Amount(60, 600_000))
    assert admit(entry(state=SPENT, tokens=70)) == Reservation(Amount(30, 300_000))
    assert isinstance(admit(entry(state=SPENT, tokens=96)), Denial)


@pytest.mark.parametrize(
    ("others", "bound", "exhausted"),
    [
        ([entry(state=SPENT, tokens=98)], "run", True),
        ([entry(session="t", state=SPENT, tokens=100), entry(session="u", state=SPENT, tokens=49)], "issue", True),
        # Only one session works on an issue, so this reservation is never settled.
        ([entry(session="t", tokens=149)], "issue", True),
        ([entry(2, tokens=248)], "day", False),
        ([entry(2, state=SPENT, tokens=248)], "day", True),
        ([entry(2, day="2026-11-01", tokens=398)], "month", False),
        ([entry(2, day="2026-11-01", state=SPENT, tokens=398)], "month", True),
    ],
)
def test_each_limit_denies_and_says_whether_it_is_exhausted(others: list[Entry], bound: str, exhausted: bool) -> None:  # noqa: FBT001
    ruling = admit(*others)
    assert isinstance(ruling, Denial)
    assert (ruling.bound, ruling.exhausted) == (bound, exhausted)
    assert f"the budget per {bound} is" in ruling.reason


def test_yesterday_and_last_month_do_not_count() -> None:
    assert admit(entry(2, day="2026-11-19", tokens=250)) == Reservation(Amount(60, 600_000))
    assert admit(entry(2, day="2026-10-31", tokens=400)) == Reservation(Amount(60, 600_000))


def test_a_resumed_attempt_keeps_its_reservation() -> None:
    assert admit(entry(number=9, tokens=100)) == Reservation(Amount(60, 600_000))


def test_a_person_increases_the_budget_of_an_issue_and_a_day() -> None:
    used = entry(session="t", state=SPENT, tokens=150)
    assert isinstance(admit(used), Denial)
    assert isinstance(admit(used, increases=(BudgetIncrease(2, "2026-11-20", 100, 10**6, "me"),)), Denial)
    assert isinstance(admit(used, increases=(BudgetIncrease(1, "2026-11-01", 100, 10**6, "me"),)), Reservation)
    full = entry(2, state=SPENT, tokens=250)
    assert isinstance(admit(full, increases=(BudgetIncrease(1, "2026-11-19", 100, 10**6, "me"),)), Denial)
    assert isinstance(admit(full, increases=(BudgetIncrease(1, "2026-11-20", 100, 10**6, "me"),)), Reservation)


def test_near_is_above_the_given_percentage() -> None:
    (run, *_) = budget.states([entry(state=SPENT, tokens=81)], CAPS, (), issue=1, session="s1", day="2026-11-20")
    assert run.near(80)
    assert not run.near(81)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle"]),
        st.integers(1, 3),
        st.sampled_from(["s", "t"]),
        st.integers(1, 3),
        st.sampled_from(["2026-10-31", "2026-11-01", "2026-11-02"]),
        st.integers(1, 120),
        st.integers(0, 120),
    ),
    max_size=60,
)


@given(STEPS)
def test_no_interleaving_of_sessions_exceeds_a_limit(steps: list[tuple[str, int, str, int, str, int, int]]) -> None:
    entries: list[Entry] = []
    for step, issue, session, number, day, tokens, cents in steps:
        wanted = replace(entry(issue, session, number, day=day, tokens=tokens), usd_micros=cents * 10_000)
        before = next((item for item in entries if item.key == wanted.key), None)
        if step == "reserve" and (before is None or before.state == RESERVED):
            ruling, made = budget.reserve(entries, CAPS, (), wanted)
            assert (made is None) is isinstance(ruling, Denial)
            entries = budget.replaced(entries, made) if made else entries
        elif step == "settle" and before is not None and before.state == RESERVED:
            took = Amount(min(tokens, before.tokens), min(wanted.usd_micros, before.usd_micros))
            ended = replace(wanted, state=SPENT, tokens=took.tokens, usd_micros=took.usd_micros)
            entries = budget.replaced(entries, budget.settled(entries, ended))
        assert len({item.key for item in entries}) == len(entries)
        for one in entries:
            for state_ in budget.states(entries, CAPS, (), issue=one.issue, session=one.session, day=one.day):
                assert state_.taken.tokens <= state_.cap.tokens
                assert state_.taken.usd_micros <= state_.cap.usd_micros


@given(
    st.builds(
        Entry,
        key=st.text(),
        issue=st.integers(0),
        session=st.text(),
        day=st.dates().map(str),
        agent=st.text(),
        model=st.text(),
        state=st.sampled_from([RESERVED, SPENT]),
        tokens=st.integers(0),
        usd_micros=st.integers(0),
        source=st.text(),
    )
)
def test_a_written_entry_is_read_back(made: Entry) -> None:
    assert data.read(tuple[Entry, ...], data.write((made,)), source="a file") == (made,)


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": -1},
        {"usd_micros": -1},
        {"tokens": "5"},
        {"tokens": True},
        {"tokens": 1.5},
        {"state": "lent"},
        {"day": "2026-11"},
        {"day": "2026-11-20\n"},
        {"more": 1},
        {"key": None},
    ],
)
def test_an_invalid_entry_is_refused(changes: dict[str, Any]) -> None:
    written = json.dumps([{**asdict(entry()), **changes}]).encode()
    with pytest.raises(InvalidInput, match=r"^2026-11\.json: "):
        ledger.decode("2026-11.json", written)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50)
@given(JSON)
def test_any_other_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^2026-11\.json: "):
        ledger.decode("2026-11.json", json.dumps([value]).encode())


def state(spent: int, reserved: int = 0, *, cents: int = 0) -> BudgetState:
    """Return a limit of 100 tokens and one dollar."""
    return BudgetState("run", Amount(spent, cents * 10_000), Amount(reserved, 0), Amount(100, 1_000_000))


@pytest.mark.parametrize(
    ("found", "percent", "near"),
    [
        (state(80), 80, False),
        (state(81), 80, True),
        (state(40, 41), 80, True),
        (state(0, cents=80), 80, False),
        (state(0, cents=81), 80, True),
        (state(100), 100, False),
        (state(101), 100, True),
        (state(1), 0, True),
        (state(0), 0, False),
    ],
)
def test_near_compares_both_amounts(found: BudgetState, percent: int, near: bool) -> None:  # noqa: FBT001 - rows
    assert found.near(percent) is near


def test_what_is_left_is_never_below_zero() -> None:
    assert state(30, 50, cents=20).left == Amount(20, 800_000)
    assert state(130, cents=120).left == Amount(0, 0)
    assert state(30, 50).taken == Amount(80, 0)


@pytest.mark.parametrize(
    ("left", "wanted", "granted"),
    [
        (10, 100, 10),
        (9, 100, None),
        (1, 9, 1),
        (0, 9, None),
        (100, 60, 60),
        (1, 1, 1),
    ],
)
def test_a_tenth_of_what_is_wanted_must_be_left(left: int, wanted: int, granted: int | None) -> None:
    ruling = budget.admit([state(100 - left)], Amount(wanted, 0))
    assert ruling == (Reservation(Amount(granted, 0)) if granted is not None else Denial("run", True, ruling.reason))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cents", "wanted", "granted"), [(0, 100, 100), (90, 100, 10), (91, 100, None), (100, 1, None)]
)
def test_a_tenth_of_the_money_must_be_left(cents: int, wanted: int, granted: int | None) -> None:
    ruling = budget.admit([state(0, cents=cents)], Amount(1, wanted * 10_000))
    if granted is None:
        assert isinstance(ruling, Denial)
        assert ruling.exhausted
    else:
        assert ruling == Reservation(Amount(1, granted * 10_000))


@pytest.mark.parametrize(
    ("bound", "spent", "reserved", "exhausted"),
    [
        ("run", 50, 50, True),
        ("issue", 50, 50, True),
        ("day", 50, 50, False),
        ("month", 50, 50, False),
        ("day", 95, 0, True),
        ("month", 95, 5, True),
        ("day", 90, 5, False),
    ],
)
def test_a_reservation_of_others_exhausts_only_what_one_session_has(
    bound: str,
    spent: int,
    reserved: int,
    exhausted: bool,  # noqa: FBT001 - rows
) -> None:
    found = BudgetState(bound, Amount(spent), Amount(reserved), Amount(100, 10**9))
    ruling = budget.admit([found], Amount(100, 0))
    assert isinstance(ruling, Denial)
    assert (ruling.bound, ruling.exhausted) == (bound, exhausted)


def test_a_limit_is_described_with_all_its_figures() -> None:
    assert budget.describe(state(30, 50, cents=20)) == (
        "the budget per run is 100 tokens and 1.00 USD; spent: 30 tokens and 0.20 USD; reserved: 50 tokens and 0.00 USD"
    )


def test_the_limits_are_of_run_issue_day_and_month() -> None:
    entries = [
        entry(1, "s", state=SPENT, tokens=1),
        entry(1, "t", tokens=2),
        entry(2, "u", state=SPENT, tokens=4),
        entry(2, "v", day="2026-11-02", state=SPENT, tokens=8),
        entry(2, "w", day="2026-10-20", state=SPENT, tokens=16),
    ]
    increases = [BudgetIncrease(1, "2026-11-20", 7, 70, "me"), BudgetIncrease(2, "2026-11-02", 9, 90, "me")]
    found = budget.states(entries, CAPS, increases, issue=1, session="s1", day="2026-11-20")
    assert [(item.bound, item.spent.tokens, item.reserved.tokens, item.cap.tokens) for item in found] == [
        ("run", 1, 0, 107),
        ("issue", 1, 2, 157),
        ("day", 5, 2, 257),
        ("month", 13, 2, 416),
    ]
    assert [item.cap.usd_micros for item in found] == [1_000_070, 2_000_070, 3_000_070, 5_000_160]


def test_an_entry_is_replaced_by_its_key_and_kept_in_order() -> None:
    one, two = entry(1, "s", tokens=1), entry(2, "s", tokens=2)
    assert budget.replaced([two], one) == [one, two]
    assert budget.replaced([one, two], replace(one, tokens=5)) == [replace(one, tokens=5), two]
    late = replace(one, day="2026-11-21", state=SPENT)
    assert budget.settled([one, two], late).day == "2026-11-20"
    assert budget.settled([two], late).day == "2026-11-21"


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (entry(tokens=0), ""),
        (entry(state=SPENT, tokens=5), ""),
        (replace(entry(), tokens=-1), "an entry has a negative amount"),
        (replace(entry(), usd_micros=-1), "an entry has a negative amount"),
        (replace(entry(), state="lent"), "an entry has the invalid state 'lent' or day '2026-11-20'"),
        (replace(entry(), day="2026-11"), "an entry has the invalid state 'reserved' or day '2026-11'"),
        (replace(entry(), day="2026-11-200"), "an entry has the invalid state 'reserved' or day '2026-11-200'"),
    ],
)
def test_a_problem_of_an_entry_is_told(made: Entry, problem: str) -> None:
    assert made.problem == problem
