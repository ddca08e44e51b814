"""Data that one process wrote is read by another as it was, or refused with the field that is wrong."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import InvalidInput
from factory.model.facts import Facts, SessionEvidence, Timing
from factory.system import data
from tests.gates.test_gates import GOOD


def test_facts_come_back_as_they_were() -> None:
    for facts in (GOOD, Facts(), replace(GOOD, timings=(Timing("a", 1, 2.5),), recorded=SessionEvidence(problem="x"))):
        assert data.read(Facts, data.write(facts), source="f") == facts
        assert data.read(Facts, json.dumps(facts.to_json()), source="f") == facts


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(JSON)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^f: "):
        data.read(Facts, json.dumps(value), source="f")


@pytest.mark.parametrize("text", ["", "{", "[", "]", "{}, {}", "\x00", '{"date": }', "[" * 100_000])
def test_what_is_not_one_json_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^f: "):
        data.read(Facts, text, source="f")


@given(st.sampled_from(sorted(GOOD.to_json())), JSON)
def test_one_wrong_field_is_refused_or_read(name: str, value: object) -> None:
    try:
        data.read(Facts, json.dumps(GOOD.to_json() | {name: value}), source="f")
    except InvalidInput as error:
        assert str(error).startswith(("f: fields are missing", f"f: {name}"))  # noqa: PT017 - most values are fine
