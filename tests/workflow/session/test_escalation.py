"""Tests of progress detection and of the next step after failures."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.model.attempt import Escalation
from factory.workflow.session import escalation
from factory.workflow.session.escalation import Sample


def test_a_repeated_failure_escalates() -> None:
    rungs = [escalation.next_escalation(["a"] * count, stronger=True) for count in range(6)]
    assert rungs == [
        Escalation.AGAIN,
        Escalation.AGAIN,
        Escalation.OTHER,
        Escalation.STRONGER,
        Escalation.PERSON,
        Escalation.PERSON,
    ]
    assert escalation.next_escalation(["a"] * 3, stronger=False) is Escalation.PERSON
    assert escalation.next_escalation(["a", "a", "b"], stronger=True) is Escalation.AGAIN
    assert escalation.next_escalation(["a", "b", "b"], stronger=True) is Escalation.OTHER


@given(st.lists(st.sampled_from("abc")), st.booleans())
def test_a_repeated_failure_never_leads_to_another_plain_try(failures: list[str], stronger: bool) -> None:  # noqa: FBT001
    rung = escalation.next_escalation(failures, stronger=stronger)
    repeated = len(failures) > 1 and failures[-1] == failures[-2]
    assert (rung is Escalation.AGAIN) is not repeated
    assert stronger or rung is not Escalation.STRONGER


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (["test_x failed at line 12 in 0.4 s"], ["test_x failed at line 15 in 1.9 s"], True),
        (["/tmp/a/b/x.py: no"], ["/home/c/x.py: no"], True),
        (["object at 0x7fa1"], ["object at 0x99b2"], True),
        (["commit deadbeef1 fails"], ["commit 0123abcd4 fails"], True),
        (["gate: unit\nrule: a\nsome output 1"], ["gate: unit\nrule: a\nother output"], True),
        (["gate: unit\nwhat: a"], ["gate: unit\nwhat: b"], False),
        (["test_x failed"], ["test_y failed"], False),
        ([], ["x"], False),
    ],
)
def test_a_fingerprint_ignores_numbers_and_folders(one: list[str], other: list[str], same: bool) -> None:  # noqa: FBT001
    assert (escalation.fingerprint(one) == escalation.fingerprint(other)) is same


@given(st.lists(st.text()))
def test_any_feedback_has_a_fingerprint(feedback: list[str]) -> None:
    assert escalation.fingerprint(feedback) == escalation.fingerprint(list(feedback))


def samples(*digests: str, step: int = 1) -> list[Sample]:
    return [Sample(number * step, digest) for number, digest in enumerate(digests)]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], ""),
        (samples("a"), ""),
        (samples("a", "b", "c", "d"), ""),
        (samples(*"a" * 11), ""),
        (samples(*"a" * 12), "11 tool calls without a change"),
        (samples("a", "b", *"b" * 11), "12 tool calls without a change"),
        (samples(*"ababa"), ""),
        (samples(*"abababa"), "its changes went back and forth: the same state 4 times"),
        (samples(*"abcabcabca"), "its changes went back and forth: the same state 4 times"),
        (samples(*"aabbaabb"), ""),
    ],
)
def test_idle_and_circling_agents_are_stuck(found: list[Sample], why: str) -> None:
    assert escalation.stuck(found, idle_turns=10) == why


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"))), st.integers(1, 20))
def test_only_tool_calls_count_as_idle(steps: list[tuple[int, str]], idle: int) -> None:
    calm = [Sample(7, digest) for _, digest in steps]
    assert "tool calls" not in escalation.stuck(calm, idle_turns=idle)
    rising, total = [], 0
    for calls, digest in steps:
        total += calls
        rising.append(Sample(total, digest))
    unchanged = itertools.takewhile(lambda sample: sample.digest == rising[-1].digest, reversed(rising))
    since = list(unchanged)
    before = rising[-len(since) - 1] if len(since) < len(rising) else rising[0] if rising else Sample(0, "")
    expected = bool(rising) and rising[-1].calls - before.calls > idle
    assert ("tool calls" in escalation.stuck(rising, idle_turns=idle)) is expected


def test_an_attempt_that_ends_at_an_earlier_state_repeats() -> None:
    assert escalation.repeats(["a", "b", "a"])
    assert not escalation.repeats(["a", "b"])
    assert not escalation.repeats(["a", "b", "b"])
    assert not escalation.repeats(["a", "b", "c"])
