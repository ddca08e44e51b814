"""Which rulesets a plan changes, read from Terraform's JSON."""

from typing import Any

import pytest

from factory.model.cloudflare import Rule
from factory.terraform import rulesets

ZONE = "f" * 32


def item(actions: list[str], **more: Any) -> dict[str, Any]:
    values = {"id": "r", "zone_id": ZONE, "phase": "http_ratelimit", "rules": [{"id": "1", "ref": "hello"}]}
    change = {"actions": actions, "before": values, "after": values} | more
    return {"address": "cloudflare_ruleset.x", "type": "cloudflare_ruleset", "change": change}


def test_the_rules_of_the_last_apply_are_those_before_the_plan_read_the_real_ones() -> None:
    found = {"id": "r", "zone_id": ZONE, "phase": "http_ratelimit", "rules": [{"id": "1"}, {"id": "2"}]}
    drift = item(["update"])
    (planned,) = rulesets.changed({"resource_changes": [item(["update"], before=found)], "resource_drift": [drift]})
    assert planned.recorded == {"1"}
    (planned,) = rulesets.changed({"resource_changes": [item(["update"], before=found)]})
    assert planned.recorded == {"1", "2"}
    (planned,) = rulesets.changed({"resource_changes": [item(["no-op"], importing={"id": "zones/f/r"})]})
    assert planned.recorded == frozenset()


def test_a_rate_limit_has_its_times() -> None:
    limit = {"period": 60, "mitigation_timeout": 600.0}
    after = {
        "zone_id": ZONE,
        "phase": "http_ratelimit",
        "rules": [{"ref": "a", "expression": "ssl", "ratelimit": limit}],
    }
    (planned,) = rulesets.changed({"resource_changes": [item(["create"], before=None, after=after)]})
    assert (planned.id, planned.zone, planned.phase, planned.owned) == ("", ZONE, "http_ratelimit", False)
    assert (planned.rules[0].period, planned.rules[0].timeout) == (60, 600)


def test_a_rule_is_read_whole_and_without_a_limit_has_no_times() -> None:
    fields = {"id": "1", "ref": "a", "description": "d", "expression": "ssl"}
    after = {"id": "r", "zone_id": ZONE, "phase": "http_request_firewall_custom", "rules": [fields]}
    (planned,) = rulesets.changed({"resource_changes": [item(["update"], after=after)]})
    assert planned.rules == (Rule("1", "a", "d", "ssl", 0, 0),)
    assert planned.id == "r"


def test_a_zone_that_the_plan_creates_has_its_rulesets_in_terraform_too() -> None:
    made = {"type": "cloudflare_zone", "address": "z", "change": {"actions": ["update"], "after": {"id": ZONE}}}
    (planned,) = rulesets.changed({"resource_changes": [made, item(["update"])]})
    assert planned.owned


def test_a_ruleset_that_goes_has_no_rules_left() -> None:
    (planned,) = rulesets.changed({"resource_changes": [item(["delete"], after=None)]})
    assert (planned.rules, planned.recorded, planned.phase) == ((), frozenset({"1"}), "http_ratelimit")


def test_a_zone_in_the_plan_is_terraforms_own() -> None:
    zone = {"type": "cloudflare_zone", "address": "z", "change": {"actions": ["no-op"], "before": {"id": ZONE}}}
    (planned,) = rulesets.changed({"resource_changes": [zone, item(["update"])]})
    assert planned.owned


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"resource_changes": "x"},
        {"resource_changes": [7, None, {"type": "cloudflare_ruleset"}]},
        {"resource_changes": [item(["no-op"])]},
        {"resource_changes": [item(["read"])]},
        {"resource_changes": [item(["create"], before=None, after={"rules": "x"})]},
        {"resource_changes": [item(["create"], before=None, after={"zone_id": None, "account_id": "a"})]},
        {"resource_changes": [{"type": "cloudflare_zone", "address": "z", "change": {"actions": ["create"]}}]},
    ],
)
def test_other_plans_change_no_ruleset_of_a_zone_that_exists(plan: dict[str, Any]) -> None:
    assert rulesets.changed(plan) == ()
