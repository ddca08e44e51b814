"""Settings, rulesets and account tokens of the API: values, refusals, and what a token that was made here may do."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from factory.local_cloudflare.api import permissions
from factory.local_cloudflare.api.permissions import ACCOUNT as ON_ACCOUNT
from factory.local_cloudflare.api.permissions import ZONE as ON_ZONE
from factory.system import clock
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.local_cloudflare.test_api import code, zone

TOKENS = f"/accounts/{ACCOUNT}/tokens"
IDS = {name: key for key, (name, _) in permissions.GROUPS.items()}
CUSTOM, RATE = "http_request_firewall_custom", "http_ratelimit"
RULE = {"ref": "one", "action": "block", "expression": 'http.host eq "a.test"'}
LIMIT = {"characteristics": ["cf.colo.id", "ip.src"], "period": 60, "requests_per_period": 10}


def ruleset(shared: Double, zone_id: str, rules: list[dict[str, Any]], phase: str = CUSTOM) -> Any:
    body = {"name": "r", "kind": "zone", "phase": phase, "rules": rules}
    return shared.call("POST", f"/zones/{zone_id}/rulesets", json=body)


def policy(resource: str, *groups: str, effect: str = "allow") -> dict[str, Any]:
    return {
        "effect": effect,
        "permission_groups": [{"id": IDS[name]} for name in groups],
        "resources": {resource: "*"},
    }


def token(shared: Double, *policies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = shared.result("POST", TOKENS, json={"name": "t", "policies": list(policies), **fields})
    return made


def test_a_setting_has_its_default_until_it_is_changed(shared: Double) -> None:
    path = f"/zones/{zone(shared)['id']}/settings"
    assert shared.result("GET", f"{path}/ssl") == {"id": "ssl", "value": "off", "editable": True, "modified_on": None}
    assert shared.result("PATCH", f"{path}/ssl", json={"value": "strict"})["value"] == "strict"
    assert shared.result("GET", f"{path}/ssl")["value"] == "strict"
    assert {each["id"]: each["value"] for each in shared.result("GET", path)}["min_tls_version"] == "1.0"
    assert code(shared.call("PATCH", f"{path}/ssl", json={"value": "loose"})) == (400, 1007)
    assert code(shared.call("GET", f"{path}/nothing")) == (400, 1006)


def test_a_rule_keeps_its_id_by_its_ref(shared: Double) -> None:
    zone_id = zone(shared)["id"]
    made = ruleset(shared, zone_id, [RULE, {"action": "log", "expression": "ssl"}]).json()
    first, second = made["result"]["rules"]
    assert (first["ref"], second["ref"], second["enabled"]) == ("one", second["id"], True)
    assert "cannot parse the expression of rule" in made["messages"][0]["message"]
    path = f"/zones/{zone_id}/rulesets/{made['result']['id']}"
    changed = shared.result("PUT", path, json={"rules": [{**RULE, "ref": "new"}, RULE]})
    assert changed["version"] == "2"
    assert changed["rules"][1]["id"] == first["id"]
    assert shared.result("GET", f"/zones/{zone_id}/rulesets/phases/{CUSTOM}/entrypoint") == changed
    assert "rules" not in shared.result("GET", f"/zones/{zone_id}/rulesets")[0]
    assert code(ruleset(shared, zone_id, [])) == (400, 20217)
    assert shared.call("DELETE", path).status == 204
    assert code(shared.call("GET", path)) == (404, 10003)


@pytest.mark.parametrize(
    ("phase", "rules"),
    [
        (CUSTOM, [{**RULE, "action": "allow"}]),
        (CUSTOM, [{**RULE, "expression": " "}]),
        (CUSTOM, [{**RULE, "ref": "a b"}]),
        (CUSTOM, [RULE, RULE]),
        (CUSTOM, [{**RULE, "ratelimit": LIMIT}]),
        (CUSTOM, ["rule"]),
        (RATE, [RULE]),
        (RATE, [{**RULE, "ratelimit": {**LIMIT, "characteristics": ["ip.src"]}}]),
        (RATE, [{**RULE, "ratelimit": {**LIMIT, "period": 61}}]),
        (RATE, [{**RULE, "ratelimit": {**LIMIT, "requests_per_period": 0}}]),
        (RATE, [{**RULE, "ratelimit": {**LIMIT, "mitigation_timeout": 100_000}}]),
        (RATE, [{**RULE, "action": "skip", "ratelimit": LIMIT}]),
    ],
)
def test_a_rule_that_cloudflare_refuses_is_refused(shared: Double, phase: str, rules: list[Any]) -> None:
    assert code(ruleset(shared, zone(shared)["id"], rules, phase)) == (400, 20127)


def test_a_zones_plan_limits_its_rate_limits(shared: Double) -> None:
    zone_id = zone(shared)["id"]
    path = f"/zones/{zone_id}/subscription"
    by_host = [{**RULE, "ratelimit": LIMIT}]
    assert code(shared.call("POST", path, json={"rate_plan": {"id": "gold"}})) == (400, 1004)
    assert code(shared.call("POST", path, json={"rate_plan": "free"})) == (400, 1004)
    shared.result("POST", path, json={"rate_plan": {"id": "free"}})
    assert shared.result("GET", f"/zones/{zone_id}")["plan"]["legacy_id"] == "free"
    told = ruleset(shared, zone_id, by_host, RATE)
    assert code(told) == (400, 20127)
    assert "not entitled on the plan Free Website: the rule one matches http.host" in told.text
    by_path = {"action": "block", "expression": 'http.request.uri.path eq "/login"'}
    short = {**by_path, "ratelimit": {**LIMIT, "period": 10, "mitigation_timeout": 10}}
    assert code(ruleset(shared, zone_id, [short, short], RATE)) == (400, 20127)
    assert ruleset(shared, zone_id, [short], RATE).status == 200
    shared.result("PUT", path, json={"rate_plan": {"id": "pro"}})
    made = shared.result("GET", f"/zones/{zone_id}/rulesets/phases/{RATE}/entrypoint")
    assert shared.result("PUT", f"/zones/{zone_id}/rulesets/{made['id']}", json={"rules": by_host})["rules"]


def test_a_deleted_zone_takes_settings_and_rulesets_with_it(shared: Double) -> None:
    made = zone(shared)
    shared.result("PATCH", f"/zones/{made['id']}/settings/ssl", json={"value": "strict"})
    assert ruleset(shared, made["id"], [RULE]).status == 200
    shared.result("DELETE", f"/zones/{made['id']}")
    assert code(shared.call("GET", f"/zones/{made['id']}/settings/ssl")) == (404, 1001)
    assert code(shared.call("GET", f"/zones/{made['id']}/rulesets")) == (404, 1001)


def test_a_token_reads_one_zone_and_nothing_else(shared: Double) -> None:
    mine, other = zone(shared), zone(shared)
    made = token(shared, policy(f"{ON_ZONE}.{mine['id']}", "Zone Read", "DNS Read"))
    value = made["value"]
    assert value.startswith("local-")
    assert shared.call("GET", f"/zones/{mine['id']}", token=value).status == 200
    assert shared.call("GET", f"/zones/{mine['id']}/dns_records", token=value).status == 200
    assert [each["id"] for each in shared.result("GET", "/zones", token=value)] == [mine["id"]]
    for method, path in (
        ("GET", f"/zones/{other['id']}"),
        ("POST", "/zones"),
        ("GET", f"/zones/{mine['id']}/settings/ssl"),
        ("GET", f"/zones/{mine['id']}/rulesets"),
        ("POST", f"/zones/{mine['id']}/dns_records"),
        ("DELETE", f"/zones/{mine['id']}"),
        ("GET", f"/accounts/{ACCOUNT}/cfd_tunnel"),
        ("GET", TOKENS),
        ("GET", "releases"),
        ("PUT", "releases/hello-aaaaaaa"),
    ):
        assert code(shared.call(method, path, token=value, json={})) == (403, 10000), path


def test_a_token_that_writes_reads_as_well_and_a_denial_wins(shared: Double) -> None:
    mine = zone(shared)
    on, path = f"{ON_ZONE}.{mine['id']}", f"/zones/{mine['id']}/settings/ssl"
    writer = token(shared, policy(on, "Zone Settings Write"))["value"]
    assert shared.call("PATCH", path, token=writer, json={"value": "strict"}).status == 200
    assert shared.call("GET", path, token=writer).status == 200
    denied = token(shared, policy(on, "Zone Settings Write"), policy(on, "Zone Settings Write", effect="deny"))["value"]
    assert code(shared.call("PATCH", path, token=denied, json={"value": "off"})) == (403, 10000)
    assert shared.call("GET", path, token=denied).status == 200


def test_every_zone_of_one_account_can_be_named(shared: Double) -> None:
    mine = zone(shared)
    nested = {**policy("", "Zone Read"), "resources": {f"{ON_ACCOUNT}.{ACCOUNT}": {f"{ON_ZONE}.*": "*"}}}
    foreign = {**nested, "resources": {f"{ON_ACCOUNT}.{'9' * 32}": {f"{ON_ZONE}.*": "*"}}}
    assert shared.call("GET", f"/zones/{mine['id']}", token=token(shared, nested)["value"]).status == 200
    assert shared.call("GET", f"/zones/{mine['id']}", token=token(shared, foreign)["value"]).status == 403


def test_a_token_ends_when_it_expires_is_disabled_or_is_deleted(shared: Double) -> None:
    mine = zone(shared)
    allow, path = policy(f"{ON_ZONE}.{mine['id']}", "Zone Read"), f"/zones/{mine['id']}"
    soon = clock.iso(clock.now() + timedelta(seconds=1))
    short, late = token(shared, allow, expires_on=soon), token(shared, allow, not_before="2999-01-01T00:00:00Z")
    assert shared.call("GET", path, token=short["value"]).status == 200
    assert code(shared.call("GET", path, token=late["value"])) == (403, 10000)
    disabled = token(shared, allow)
    shared.result("PUT", f"{TOKENS}/{disabled['id']}", json={"name": "t", "policies": [allow], "status": "disabled"})
    assert code(shared.call("GET", path, token=disabled["value"])) == (403, 10000)
    deleted = token(shared, allow)
    shared.result("DELETE", f"{TOKENS}/{deleted['id']}")
    assert code(shared.call("GET", path, token=deleted["value"])) == (403, 10000)
    assert code(shared.call("GET", "/user/tokens/verify", token=deleted["value"])) == (401, 1000)
    clock.sleep(1.1)
    assert code(shared.call("GET", path, token=short["value"])) == (403, 10000)
    assert shared.result("GET", "/user/tokens/verify", token=short["value"])["status"] == "expired"
    assert shared.result("GET", f"{TOKENS}/{short['id']}")["status"] == "expired"


def test_a_token_is_verified_where_its_account_is(shared: Double) -> None:
    made = token(shared, policy(f"{ON_ACCOUNT}.{ACCOUNT}", "Cloudflare Tunnel Read"), expires_on="2999-01-01T00:00:00Z")
    seen = shared.result("GET", f"{TOKENS}/verify", token=made["value"])
    assert seen == {"id": made["id"], "status": "active", "expires_on": "2999-01-01T00:00:00Z"}
    elsewhere = shared.call("GET", f"/accounts/{'9' * 32}/tokens/verify", token=made["value"])
    assert code(elsewhere) == (401, 1000)


def test_a_token_can_be_bound_to_addresses(shared: Double) -> None:
    allow, path = policy(f"{ON_ACCOUNT}.{ACCOUNT}", "Cloudflare Tunnel Read"), f"/accounts/{ACCOUNT}/cfd_tunnel"
    here = token(shared, allow, condition={"request_ip": {"in": ["127.0.0.0/8"]}})
    away = token(shared, allow, condition={"request_ip": {"not_in": ["127.0.0.1/32"]}})
    assert shared.call("GET", path, token=here["value"]).status == 200
    assert code(shared.call("GET", path, token=away["value"])) == (403, 10000)


def test_a_value_is_told_once_and_kept_nowhere(own: Double) -> None:
    made = token(own, policy(f"{ON_ACCOUNT}.{ACCOUNT}", "Account API Tokens Read"))
    value = made["value"]
    assert "value" not in own.result("GET", TOKENS, token=value)[0]
    assert "value" not in own.result("GET", f"{TOKENS}/{made['id']}")
    groups = own.result("GET", f"{TOKENS}/permission_groups", token=value)
    assert {"id": IDS["DNS Write"], "name": "DNS Write", "scopes": [ON_ZONE]} in groups
    kept = b"".join(file.read_bytes() for file in own.state.rglob("*.sqlite3*"))
    for text in (value, base64.b64encode(value.encode()).decode()):
        assert text.encode() not in kept
        assert text not in own.log()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"policies": []},
        {"policies": [{"effect": "allow", "permission_groups": [], "resources": {}}]},
        {"policies": [policy(f"{ON_ACCOUNT}.{ACCOUNT}", "DNS Read")]},
        {"policies": [policy(f"{ON_ZONE}.*", "DNS Read")]},
        {"policies": [{**policy(f"{ON_ZONE}.{'0' * 32}", "DNS Read"), "effect": "maybe"}]},
        {"policies": [{**policy(f"{ON_ZONE}.{'0' * 32}", "DNS Read"), "permission_groups": [{"id": "f" * 32}]}]},
        {"expires_on": "2020-01-01T00:00:00Z"},
        {"expires_on": "soon"},
        {"not_before": "2999-01-01"},
        {"status": "expired"},
        {"condition": {"request_ip": {"in": ["everywhere"]}}},
    ],
)
def test_a_token_that_cloudflare_refuses_is_refused(shared: Double, fields: dict[str, Any]) -> None:
    body = {"name": "t", "policies": [policy(f"{ON_ACCOUNT}.{ACCOUNT}", "Cloudflare Tunnel Read")]} | fields
    assert code(shared.call("POST", TOKENS, json=body)) == (400, 1001)
