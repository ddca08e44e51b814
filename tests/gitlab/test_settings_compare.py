"""Settings compared as values: what differs, what is the same said otherwise, and what a tier can't hold."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.gitlab.settings import compare
from factory.gitlab.settings.model import Section
from factory.gitlab.settings.protection import BRANCHES, ENVIRONMENTS, TAGS, left_covers

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
STATES = st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4)


def differing(wanted: Any, found: Any, *, enforce: bool = False) -> list[tuple[str, str, str]]:
    made = compare.differences("x", wanted, found, enforce=enforce)
    return [(item.key, item.field, item.kind) for item in made]


@given(STATES)
def test_what_is_as_it_shall_be_differs_in_nothing(state: Any) -> None:
    assert differing(state, state, enforce=True) == []


@given(STATES, STATES)
def test_every_field_that_is_not_the_same_is_told_and_no_other(wanted: Any, found: Any) -> None:
    told = {(key, field) for key, field, _ in differing(wanted, found)}
    for key, fields in wanted.items():
        for field, value in fields.items():
            same = key in found and compare.normal(found[key].get(field)) == compare.normal(value)
            assert ((key, field) not in told) is same


@given(STATES, STATES)
def test_what_nobody_asked_for_is_extra_only_where_it_is_enforced(wanted: Any, found: Any) -> None:
    assert not [item for item in differing(wanted, found) if item[2] == "extra"]
    extra = {key for key, _, kind in differing(wanted, found, enforce=True) if kind == "extra"}
    assert extra == {key for key in found if key not in wanted and found[key]}
    assert compare.unmanaged(wanted, found) == [key for key in found if key not in wanted]


@pytest.mark.parametrize(
    ("one", "other"),
    [([2, 1], [1, 2]), ("", None), ([], None), ({"a": None}, {}), ({"a": [1, 2]}, {"a": [2, 1]}), ((1,), [1])],
)
def test_what_means_the_same_is_the_same(one: Any, other: Any) -> None:
    assert compare.normal(one) == compare.normal(other)


@pytest.mark.parametrize(("one", "other"), [(False, None), (0, None), ([1], [1, 1]), ("a", "b")])
def test_what_means_something_else_is_not(one: Any, other: Any) -> None:
    assert differing({"k": {"f": one}}, {"k": {"f": other}}) == [("k", "f", "differs")]


def test_free_names_every_field_of_a_premium_section_and_what_stands_in() -> None:
    wanted = {"production": {"deploy": ["@bot"], "approvals": {"maintainer": 1}}}
    assert compare.fitted(ENVIRONMENTS, wanted, "premium") == (wanted, ())
    state, lost = compare.fitted(ENVIRONMENTS, wanted, "free")
    assert state == {}
    assert [(item.key, item.field) for item in lost] == [("production", "deploy"), ("production", "approvals")]
    assert all(item.substitute == ENVIRONMENTS.substitute for item in lost)


@pytest.mark.parametrize(
    ("section", "fields", "left", "lost"),
    [
        (BRANCHES, {"push": ["nobody"], "merge": ["maintainer"]}, {"push": ["nobody"], "merge": ["maintainer"]}, []),
        (BRANCHES, {"push": ["@bot"], "merge": ["nobody"]}, {"push": ["maintainer"], "merge": ["nobody"]}, ["push"]),
        (BRANCHES, {"push": ["developer", "admin"]}, {"push": ["maintainer"]}, ["push"]),
        (BRANCHES, {"push": ["nobody"], "code_owners": True}, {"push": ["nobody"]}, ["code_owners"]),
        (TAGS, {"create": ["maintainer"]}, {"create": ["maintainer"]}, []),
        (TAGS, {"create": ["@bot"]}, {"create": ["maintainer"]}, ["create"]),
    ],
)
def test_free_holds_roles_and_no_accounts(section: Section, fields: Any, left: Any, lost: list[str]) -> None:
    state, found = compare.fitted(section, {"main": fields}, "free")
    assert state == {"main": left}
    assert [item.field for item in found] == lost
    assert all(item.substitute for item in found)


def test_a_cover_is_told_from_a_rule_that_somebody_wanted() -> None:
    shut = {"push": ["nobody"], "merge": ["nobody"]}
    wanted = {"main": shut, "kept": shut, "kept*": shut}
    found = {"main": shut, "main*": shut, "kept": shut, "kept*": shut, "open*": {"push": ["maintainer"]}, "else*": shut}
    assert left_covers(wanted, found) == ["main*"]
