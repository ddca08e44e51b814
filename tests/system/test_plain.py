"""Facts that one job wrote are read by another, or refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.model.facts import Facts, SessionEvidence, Timing
from factory.system import plain
from tests.gates.test_gates import GOOD


def test_facts_come_back_as_they_were() -> None:
    for facts in (GOOD, Facts(), replace(GOOD, timings=(Timing("a", 1, 2.5),), recorded=SessionEvidence(problem="x"))):
        assert plain.build(Facts, facts.to_json(), source="f") == facts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(JSON)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="f was not written by"):
        plain.build(Facts, value, source="f")


@given(st.sampled_from(sorted(GOOD.to_json())), JSON)
def test_one_wrong_field_is_refused_or_read(name: str, value: object) -> None:
    try:
        plain.build(Facts, GOOD.to_json() | {name: value}, source="f")
    except InvalidInput:
        return
