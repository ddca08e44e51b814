"""Settings compared as values: what differs, what is the same said otherwise, and what a tier can't hold."""

import itertools
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.gitlab.settings import compare
from factory.gitlab.settings.model import Section, Server, keyed
from factory.gitlab.settings.protection import BRANCHES, ENVIRONMENTS, TAGS, left_covers
from factory.local_gitlab.refs.ref_names import covers

if TYPE_CHECKING:
    from factory.gitlab.connect import Connection

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
STATES = st.dictionaries(st.text(max_size=3), st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4)


PLAIN = Section("plain", lambda _: {}, lambda *_: None)


def differing(wanted: Any, found: Any, *, enforce: bool = False) -> list[tuple[str, str, str]]:
    made = compare.differences(PLAIN, wanted, found, enforce=enforce)
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


def test_a_field_that_an_older_server_does_not_tell_is_not_compared() -> None:
    section = Section("x", lambda _: {}, lambda *_: None, unspecified=frozenset({"token"}))
    wanted = {"k": {"token": True, "other": 1}}
    assert not list(compare.differences(section, wanted, {"k": {"other": 1}}, enforce=False))
    assert list(compare.differences(section, wanted, {"k": {"token": False, "other": 1}}, enforce=False))
    assert list(compare.differences(PLAIN, wanted, {"k": {"other": 1}}, enforce=False))


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["a", "a (2)", "b"])), unique_by=lambda item: item[0]))
def test_each_object_has_a_key_of_its_own_and_the_oldest_of_a_name_has_the_name(items: Any) -> None:
    given_ones = [{"id": number, "name": name} for number, name in items]
    found = keyed(given_ones, "name")
    assert sorted(item["id"] for item in found.values()) == sorted(item["id"] for item in given_ones)
    for name in {"b", "a"} & {item["name"] for item in given_ones}:
        assert found[name]["id"] == min(item["id"] for item in given_ones if item["name"] == name)


@given(st.text("ab*", max_size=4), st.text("ab*", max_size=4))
def test_two_patterns_overlap_where_there_is_a_name_that_both_cover(one: str, other: str) -> None:
    names = ["".join(text) for length in range(7) for text in itertools.product("ab", repeat=length)]
    assert compare.overlap(one, other) is any(covers(one, name) and covers(other, name) for name in names)
    assert compare.overlap(one, one)
    assert compare.overlap(one, "*")


def test_a_rule_that_nobody_asked_for_is_in_the_way_only_of_what_it_covers() -> None:
    section = Section("x", lambda _: {}, lambda *_: None, patterns=True)
    found = {"m*": {"push": 1}, "release/*": {"push": 1}, "*": {"push": 1}, "main": {"push": 0}}
    extra = compare.differences(section, {"main": {"push": 0}}, found, enforce=True)
    assert [item.key for item in extra] == ["m*", "*"]


def test_what_an_apply_can_t_make_is_absent_and_not_missing() -> None:
    section = Section("x", lambda _: {}, lambda *_: None, maker=lambda fields: str(fields["by"]))
    wanted = {"a": {"by": "hand"}, "b": {"by": ""}, "c": {"by": "hand"}}
    assert [(item.key, item.maker) for item in compare.absent(section, wanted, {"c": {}})] == [("a", "hand")]


@pytest.mark.parametrize(
    ("level", "name"),
    [
        ({"access_level": 40, "user_id": None}, "maintainer"),
        ({"access_level": 40, "user_id": None, "deploy_key_id": 7}, "deploy-key-7"),
        ({"access_level": None, "user_id": None, "group_id": 9}, "group-9"),
        ({"access_level": None, "user_id": 3}, "@bot"),
        ({"access_level": None, "user_id": 4}, "@user-4"),
    ],
)
def test_who_an_access_level_names(level: Any, name: str) -> None:
    assert Server(cast("Connection", None), "premium", {"bot": 3}, {}).named(level) == name
