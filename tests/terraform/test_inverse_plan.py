"""The way back: never more than the way there."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.errors import Refused
from factory.model.deployment import ApplyResult, Phase
from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.system import data
from factory.terraform import inverse_plan

ADDRESS = "module.tunnel.cloudflare_zero_trust_tunnel_cloudflared_config.this"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SIDES = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


def change(before: Any, after: Any, *actions: str, address: str = ADDRESS, unknown: Any = None) -> PlannedChange:
    return PlannedChange(address, "cloudflare_x", actions or ("update",), before, after, unknown or {})


def plan(*changes: PlannedChange) -> Plan:
    return Plan("production", "sha256:0", changes)


@given(SIDES, SIDES)
def test_the_inverse_of_a_plan_is_its_way_back(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert inverse_plan.unmanaged_changes(plan(change(before, after)), plan(change(after, before))) == []


@given(SIDES, SIDES, SIDES)
def test_another_value_than_the_one_before_is_none(before: Any, after: Any, other: dict[str, Any]) -> None:
    expected = [] if before == other else [ADDRESS]
    if {**dict.fromkeys(other), **before} == {**dict.fromkeys(before), **other}:
        expected = []
    assert inverse_plan.unmanaged_changes(plan(change(before, after)), plan(change(after, other))) == expected


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ([], [change({"a": 1}, {"a": 2})]),
        ([change({"a": 1}, {"a": 2}, address="other")], [change({"a": 2}, {"a": 1})]),
        ([change(None, {"a": 2}, "create")], [change({"a": 2}, None, "delete")]),
        ([change({"a": 1}, {"a": 2})], [change({"a": 2}, None, "delete")]),
        ([change({"a": 1}, {"a": 2})], [change({"a": 2}, {"a": 1}, "delete", "create")]),
        ([change({"a": 1}, {"a": 2})], [change({"a": 3}, {"a": 1})]),
        ([change({"a": 1}, {"a": 2})], [change({"a": 2}, {"a": 1, "b": 1})]),
        ([change({"a": SENSITIVE}, {"a": SENSITIVE})], [change({"a": SENSITIVE}, {"a": SENSITIVE})]),
        ([change({"a": [1, 2]}, {"a": [2]})], [change({"a": [2]}, {"a": [1]})]),
    ],
    ids=[
        "a plan that changed nothing",
        "another address",
        "what was created is not deleted",
        "what was updated is not deleted",
        "what was updated is not replaced",
        "the world moved on",
        "something more",
        "a sensitive value",
        "a shorter list",
    ],
)
def test_what_is_no_inverse(there: list[PlannedChange], back: list[PlannedChange]) -> None:
    assert inverse_plan.unmanaged_changes(plan(*there), plan(*back)) == [ADDRESS]


def test_what_is_known_only_after_the_apply_is_not_compared() -> None:
    there = change({"v": 1, "a": {"b": 1}}, {"a": {"b": 2}}, unknown={"v": True})
    back = change({"v": 2, "a": {"b": 2}}, {"a": {"b": 1}}, unknown={"v": True, "a": {"b": False}})
    assert inverse_plan.unmanaged_changes(plan(there), plan(back)) == []


@pytest.mark.parametrize("phase", [None, "refused", "started", "failed"])
def test_only_an_apply_that_ended_well_is_undone(tmp_path: Path, phase: Phase | None) -> None:
    if phase:
        (tmp_path / "apply.json").write_bytes(data.write(ApplyResult(phase)))
    with pytest.raises(Refused, match=f"the apply is {phase or 'not started'}"):
        inverse_plan.applied(tmp_path)


@pytest.mark.parametrize("outputs", [{}, {"releases": {"before": None}}, {"releases": {"before": {"hello": 1}}}])
def test_a_plan_that_names_no_release_before_it_is_refused(tmp_path: Path, outputs: dict[str, Any]) -> None:
    (tmp_path / "plan.json").write_text(json.dumps({"output_changes": outputs}))
    with pytest.raises(Refused, match="has no earlier release"):
        inverse_plan.releases_before(tmp_path)


def test_the_releases_before_are_those_of_the_output(tmp_path: Path) -> None:
    outputs = {"releases": {"before": {"hello": "hello-1"}, "after": {"hello": "hello-2"}}}
    (tmp_path / "plan.json").write_text(json.dumps({"output_changes": outputs}))
    assert inverse_plan.releases_before(tmp_path) == {"hello": "hello-1"}
