"""Demands on planned resources: values that are unknown, hidden, absent, or inside lists."""

from typing import Any

import pytest

from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.policies import plans
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.policies.terraform import Demand, Noise
from tests.servers import ROOT

POLICIES = read_folder(ROOT)
TYPE = "cloudflare_dns_record"


def allowed(demand: dict[str, Any], after: dict[str, Any], unknown: Any = None) -> bool:
    """Tell whether a plan that creates one resource meets a demand."""
    given = Demand.model_validate({"type": TYPE, "reason": "so it must be", **demand})
    terraform = POLICIES.terraform.model_copy(update={"types": (TYPE,), "demands": (given,), "companions": ()})
    item = PlannedChange("x.y", TYPE, ("create",), before=None, after=after, unknown={} if unknown is None else unknown)
    rulings = plans.judge(
        POLICIES.model_copy(update={"terraform": terraform}), Plan("s", "", (item,)), today="2026-01-01"
    )
    (found,) = [ruling.allowed for ruling in rulings if ruling.rule == "plan.demand"]
    return found


EQUALS = {"attribute": "proxied", "equals": True}


@pytest.mark.parametrize(
    ("demand", "after", "unknown", "expected"),
    [
        (EQUALS, {"proxied": True}, None, True),
        (EQUALS, {"proxied": 1}, None, False),
        (EQUALS, {}, None, False),
        (EQUALS, {"proxied": True}, {"proxied": True}, False),
        ({**EQUALS, "unknown": "allow"}, {"proxied": False}, {"proxied": True}, True),
        ({**EQUALS, "unknown": "allow"}, {"proxied": False}, {"proxied": False}, False),
        (EQUALS, {"proxied": SENSITIVE}, None, False),
        ({"attribute": "data.1.flag", "equals": "a"}, {"data": [{"flag": "b"}, {"flag": "a"}]}, None, True),
        ({"attribute": "data.0.flag", "equals": "a"}, {"data": [{"flag": "b"}, {"flag": "a"}]}, None, False),
        ({"attribute": "data.2.flag", "equals": "a"}, {"data": [{"flag": "a"}, {"flag": "a"}]}, None, False),
        (
            {"attribute": "data.1.flag", "equals": "a"},
            {"data": [{}, {"flag": "a"}]},
            {"data": [{}, {"flag": True}]},
            False,
        ),
        ({"attribute": "data.0.flag", "equals": "a"}, {"data": [{"flag": "a"}]}, {"data": [{}, {"flag": True}]}, True),
        ({"attribute": "data.1.flag", "equals": "a"}, {"data": [{}, {"flag": "a"}]}, {"data": [{"flag": True}]}, True),
    ],
)
def test_a_demand_holds_only_for_a_known_value(
    demand: dict[str, Any],
    after: dict[str, Any],
    unknown: Any,
    expected: bool,  # noqa: FBT001 - a row
) -> None:
    assert allowed(demand, after, unknown) is expected


@pytest.mark.parametrize(
    ("kind", "proxied", "expected"),
    [
        ("CNAME", False, False),
        ("cname", False, False),
        ("Cname", True, True),
        ("a", False, False),
        ("CNAME ", False, False),
        ("A\u200b", False, False),
        ("x/../A", False, False),
        ("A?x", False, False),
    ],
)
def test_a_demand_holds_for_every_spelling_of_a_value(kind: str, proxied: bool, expected: bool) -> None:  # noqa: FBT001 - rows
    assert allowed({**EQUALS, "where": {"type": "A|AAAA|CNAME"}}, {"type": kind, "proxied": proxied}) is expected


def noise(*attributes: str) -> Policies:
    """Return policies in which a provider changes these attributes by itself."""
    rules = tuple(
        Noise.model_validate(
            {"type": TYPE, "attribute": name, "owner": "o", "reason": "so it does", "expires": "2030-01-01"}
        )
        for name in attributes
    )
    return POLICIES.model_copy(update={"terraform": POLICIES.terraform.model_copy(update={"noise": rules})})


BEFORE = {"name": "a", "settings": {"flatten": None, "ipv4": None}, "tags": ["x"]}


@pytest.mark.parametrize(
    ("ignored", "after", "unknown", "count"),
    [
        (["settings.flatten"], {**BEFORE, "settings": {"flatten": False, "ipv4": None}}, {}, 0),
        (["settings"], {**BEFORE, "settings": {"flatten": False}}, {"settings": {"ipv4": True}}, 0),
        (["settings.flatten"], {**BEFORE, "settings": {"flatten": False}}, {"settings": {"ipv4": True}}, 1),
        (["settings.flatten", "settings.ipv4"], {**BEFORE, "settings": {}}, {"settings": {"ipv4": True}}, 0),
        (["settings.flat"], {**BEFORE, "settings": {"flatten": False, "ipv4": None}}, {}, 1),
        (["settings.flatten"], {**BEFORE, "settings": None}, {}, 1),
        (["settings.flatten"], {**BEFORE, "settings": {"flatten": SENSITIVE, "ipv4": None}}, {}, 0),
        (["settings.ipv4"], {**BEFORE, "settings": {"flatten": SENSITIVE, "ipv4": None}}, {}, 1),
        (["settings.flatten"], {**BEFORE, "name": "b", "settings": {"flatten": 1, "ipv4": None}}, {}, 1),
        (["tags"], {**BEFORE, "tags": ["y"]}, {}, 0),
        (["tags"], BEFORE, {"tags": True}, 0),
        (["tags"], BEFORE, {}, 1),
        (["settings.flatten"], {**BEFORE, "settings": {"flatten": 1, "ipv4": None}}, {"tags": [False]}, 0),
        (["settings.flatten"], {**BEFORE, "settings.flatten": 1}, {}, 1),
        (["settings.flatten"], {**BEFORE, "settings": {"flatten": 1, "ipv4": None}}, {"settings": [True]}, 1),
    ],
)
def test_noise_may_be_a_nested_attribute(ignored: list[str], after: Any, unknown: Any, count: int) -> None:
    item = PlannedChange("x.y", TYPE, ("update",), before=BEFORE, after=after, unknown=unknown)
    assert len(plans.counted(noise(*ignored), Plan("s", "", (item,)), today="2026-01-01")) == count


RULES = [{"ref": "a", "to": {"host": "x", "port": 1}}, {"ref": "b", "to": {"host": "y", "port": 2}}]


@pytest.mark.parametrize(
    ("ignored", "after", "unknown", "count"),
    [
        (["rules.ref"], [{**RULES[0], "ref": "c"}, {**RULES[1], "ref": "d"}], [], 0),
        (["rules.ref"], [{**RULES[0], "ref": None}, RULES[1]], [{"ref": True}, {}], 0),
        (["rules.ref"], [{**RULES[0], "ref": "c"}, RULES[1]], [{}, {"to": {"host": True}}], 1),
        (["rules.ref"], [{**RULES[0], "ref": "c", "to": RULES[1]["to"]}, RULES[1]], [{}, {"to": {}}], 1),
        (["rules.ref"], RULES, [{}, {}], 1),
        (["rules.ref"], RULES, [{}, True], 1),
        (["rules.ref"], [{**RULES[0], "ref": "c"}, RULES[1]], [{}], 1),
        (["rules.ref"], [{**RULES[0], "ref": "c"}], [{}], 1),
        (["rules.to.port"], [{**RULES[0], "to": {"host": "x", "port": 3}}, RULES[1]], [{}, {}], 0),
        (["rules.to"], [RULES[0], {**RULES[1], "to": {"host": "z", "port": 3}}], [{}, {}], 0),
        (["rules.to.port"], [RULES[0], {**RULES[1], "to": {"host": "z", "port": 3}}], [{}, {}], 1),
        (["rules.0.ref"], [{**RULES[0], "ref": "c"}, RULES[1]], [{}, {}], 0),
        (["rules.0.ref"], [RULES[0], {**RULES[1], "ref": "c"}], [{}, {}], 1),
        (["rules.1"], [RULES[0], {"ref": "c", "to": None}], [{}, {}], 0),
        (["rules"], [RULES[0]], [{}], 0),
        (["rules.ref"], [{**RULES[0], "ref": SENSITIVE}, RULES[1]], [{}, {}], 0),
        (["rules.ref"], [{**RULES[0], "ref": "c"}, {**RULES[1], "to": SENSITIVE}], [{}, {}], 1),
    ],
)
def test_noise_may_lead_into_the_elements_of_a_list(ignored: list[str], after: Any, unknown: Any, count: int) -> None:
    item = PlannedChange(
        "x.y", TYPE, ("update",), before={"rules": RULES}, after={"rules": after}, unknown={"rules": unknown}
    )
    assert len(plans.counted(noise(*ignored), Plan("s", "", (item,)), today="2026-01-01")) == count


@pytest.mark.parametrize(
    ("actions", "before", "today"),
    [
        (("create",), BEFORE, "2026-01-01"),
        (("delete", "create"), BEFORE, "2026-01-01"),
        (("update",), None, "2026-01-01"),
        (("update",), BEFORE, "2030-01-02"),
        (("update",), BEFORE, ""),
    ],
)
def test_what_is_not_an_update_or_no_longer_excused_is_no_noise(
    actions: tuple[str, ...], before: Any, today: str
) -> None:
    item = PlannedChange("x.y", TYPE, actions, before=before, after={**BEFORE, "tags": ["y"]}, unknown={})
    assert len(plans.counted(noise("tags"), Plan("s", "", (item,)), today=today)) == 1


@pytest.mark.parametrize(
    ("demand", "after", "expected"),
    [
        ({"attribute": "name", "like": "a+"}, {"name": "aaa"}, True),
        ({"attribute": "name", "like": "a+"}, {"name": "aab"}, False),
        ({"attribute": "name", "like": "a+"}, {"name": 5}, False),
        ({"attribute": "settings.a", "equals": "x"}, {"settings": SENSITIVE}, False),
        ({"attribute": "tags.1", "equals": "y"}, {"tags": ["x", "y"]}, True),
        ({"attribute": "tags.2", "equals": "y"}, {"tags": ["x", "y"]}, False),
        ({**EQUALS, "where": {"name": "|a"}}, {"name": 5, "proxied": False}, False),
        ({**EQUALS, "where": {"tags": "x"}}, {"tags": ["y", SENSITIVE], "proxied": False}, False),
        ({**EQUALS, "where": {"settings": "x"}}, {"settings": {"a": 1, "b": [SENSITIVE]}, "proxied": False}, False),
        ({**EQUALS, "where": {"name": "XX"}}, {"name": SENSITIVE, "proxied": False}, False),
    ],
)
def test_a_demand_on_texts_lists_and_hidden_values(
    demand: dict[str, Any],
    after: dict[str, Any],
    expected: bool,  # noqa: FBT001 - a row
) -> None:
    assert allowed(demand, after) is expected
