"""Demands on planned resources: values that are unknown, hidden, absent, or inside lists."""

from typing import Any

import pytest

from factory.model.facts import SENSITIVE, Plan, PlannedChange
from factory.policies import plans
from factory.policies.folder import read_folder
from factory.policies.terraform import Demand
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
