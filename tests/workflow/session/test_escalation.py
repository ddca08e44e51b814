"""Whether an agent gets anywhere, and what is tried when it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.model.attempt import Escalation
from factory.workflow.session import escalation
from factory.workflow.session.escalation import Sample


def test_the_same_failure_twice_climbs_the_ladder() -> None:
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
def test_a_failure_that_repeats_is_never_answered_by_trying_again(failures: list[str], stronger: bool) -> None:  # noqa: FBT001
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
def test_a_failure_is_known_again_whatever_varies_in_it(one: list[str], other: list[str], same: bool) -> None:  # noqa: FBT001
    assert (escalation.fingerprint(one) == escalation.fingerprint(other)) is same


@given(st.lists(st.text()))
def test_any_feedback_has_a_fingerprint(feedback: list[str]) -> None:
    assert escalation.fingerprint(feedback) == escalation.fingerprint(list(feedback))


def samples(*digests: str, step: int = 1) -> list[Sample]:
    return [Sample(number * step, digest) for number, digest in enumerate(digests)]


@pytest.mark.parametrize(
    ("seen", "why"),
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
def test_no_change_for_long_and_the_same_states_again_and_again(seen: list[Sample], why: str) -> None:
    assert escalation.stuck(seen, idle_turns=10) == why


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"))), st.integers(1, 20))
def test_thinking_without_tool_calls_is_never_idling(steps: list[tuple[int, str]], idle: int) -> None:
    calm = [Sample(7, digest) for _, digest in steps]
    assert "tool calls" not in escalation.stuck(calm, idle_turns=idle)
    rising, total = [], 0
    for calls, digest in steps:
        total += calls
        rising.append(Sample(total, digest))
    assert bool(escalation.stuck(rising, idle_turns=idle)) in {True, False}


def test_attempts_that_end_where_an_earlier_one_ended() -> None:
    assert escalation.repeats(["a", "b", "a"])
    assert not escalation.repeats(["a", "b"])
    assert not escalation.repeats(["a", "b", "b"])
    assert not escalation.repeats(["a", "b", "c"])
