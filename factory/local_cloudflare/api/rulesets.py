"""Serves a zone's rulesets (``/zones/:id/rulesets``): one for custom rules and one for rate limits."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import envelope, expressions
from factory.local_cloudflare.api.call import Call, new_id
from factory.local_cloudflare.api.zones import zone_of
from factory.model.cloudflare import CUSTOM, RATE_LIMIT, Rule, beyond_plan
from factory.system import clock, log

_CHALLENGES = ("challenge", "js_challenge", "managed_challenge")
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    CUSTOM: ("block", *_CHALLENGES, "log", "skip"),
    RATE_LIMIT: ("block", *_CHALLENGES, "log"),
}
_PERIODS = (10, 15, 20, 30, 40, 45, 60, 90, 120, 180, 240, 300, 480, 600, 900, 1200, 1800, 2400, 3600)
_LONGEST_TIMEOUT = 86_400
_REF = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Cloudflare counts requests per data centre and rejects a rate limit without this characteristic.
_EACH_PLACE = "cf.colo.id"


def list_rulesets(call: Call) -> web.Response:
    """Return a zone's rulesets without their rules."""
    found = call.store.find("ruleset", owner=zone_of(call)["id"])
    return envelope.page([{key: value for key, value in each.items() if key != "rules"} for each in found], call.query)


def create_ruleset(call: Call) -> web.Response:
    """Create the ruleset of a phase; a zone has at most one for each phase."""
    zone, phase = zone_of(call), call.body.get("phase")
    if call.body.get("kind") != "zone":
        raise envelope.failure(400, (20217, f"{call.body.get('kind')!r} is not a valid value for kind"))
    if phase not in _ACTIONS:
        raise envelope.failure(400, (20217, f"the loopback double has no phase {phase!r}"))
    if call.store.find("ruleset", owner=zone["id"], name=phase):
        message = f"exceeded maximum number of zone rulesets for phase {phase}"
        raise envelope.failure(400, (20217, message))
    base: dict[str, Any] = {"id": new_id(), "kind": "zone", "phase": phase, "version": "0", "rules": []}
    return _save(call, zone, base)


def get_ruleset(call: Call) -> web.Response:
    """Return one ruleset with its rules."""
    return envelope.success(_ruleset(call))


def update_ruleset(call: Call) -> web.Response:
    """Replace a ruleset's rules and description (PUT); a rule with the same ``ref`` keeps its id."""
    ruleset = _ruleset(call)
    return _save(call, zone_of(call), ruleset)


def delete_ruleset(call: Call) -> web.Response:
    """Delete a ruleset; the response is 204 without a body, as at Cloudflare."""
    call.store.delete("ruleset", _ruleset(call)["id"])
    return web.Response(status=204)


def get_entrypoint(call: Call) -> web.Response:
    """Return the ruleset of a phase."""
    found = call.store.find("ruleset", owner=zone_of(call)["id"], name=call.path["phase"])
    if not found:
        raise envelope.failure(404, (10003, f"could not find entrypoint ruleset in the {call.path['phase']} phase"))
    return envelope.success(found[0])


def _save(call: Call, zone: Mapping[str, Any], base: Mapping[str, Any]) -> web.Response:
    rules = call.body.get("rules") or []
    problem = _problem(rules, base["phase"])
    if problem:
        raise envelope.failure(400, (20127, problem))
    if base["phase"] == RATE_LIMIT:
        beyond = beyond_plan(zone["plan"]["legacy_id"], tuple(_rate_limit(rule) for rule in rules))
        if beyond:
            raise envelope.failure(400, (20127, f"not entitled on the plan {zone['plan']['name']}: {beyond[0]}"))
    ids = {rule["ref"]: rule["id"] for rule in base["rules"]}
    now = clock.timestamp()
    ruleset = {
        **base,
        "name": call.body.get("name") or base.get("name") or "default",
        "description": call.body.get("description") or "",
        "rules": [_rule(rule, ids) for rule in rules],
        "version": str(int(base["version"]) + 1),
        "last_updated": now,
    }
    call.store.put("ruleset", ruleset["id"], ruleset, owner=zone["id"], name=ruleset["phase"])
    unparsed = [rule["ref"] for rule in ruleset["rules"] if expressions.parse(rule["expression"]) is None]
    if unparsed:
        log.event("local_cloudflare.expressions_not_read", ruleset=ruleset["id"], rules=unparsed)
    texts = [f"the loopback edge cannot parse the expression of rule {ref}: requests pass" for ref in unparsed]
    return envelope.success(ruleset, messages=[{"code": 0, "message": text, "type": None} for text in texts])


def _rate_limit(rule: Mapping[str, Any]) -> Rule:
    limit = rule["ratelimit"]
    ref = rule.get("ref") or rule.get("description") or "without a ref"
    return Rule("", ref, "", rule["expression"], limit["period"], limit.get("mitigation_timeout") or 0)


def _rule(rule: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """Return a rule as it is stored: with its id, which is also the default ``ref``."""
    key = ids.get(rule.get("ref") or "") or new_id()
    fields = {key: value for key, value in rule.items() if value is not None and key not in {"id", "version"}}
    return {"description": "", "enabled": True, **fields, "id": key, "ref": rule.get("ref") or key}


def _problem(rules: Any, phase: str) -> str | None:
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        return "rules must be a list of rules"
    for number, rule in enumerate(rules, 1):
        problem = _rule_problem(rule, phase)
        if problem:
            return f"rule {number}: {problem}"
    refs = [rule["ref"] for rule in rules if rule.get("ref")]
    return "two rules have the same ref" if len(set(refs)) < len(refs) else None


def _rule_problem(rule: Mapping[str, Any], phase: str) -> str | None:
    if rule.get("action") not in _ACTIONS[phase]:
        return f"the action {rule.get('action')!r} is not allowed in the phase {phase}"
    if not isinstance(rule.get("expression"), str) or not rule["expression"].strip():
        return "an expression is needed"
    if rule.get("ref") is not None and not (isinstance(rule["ref"], str) and _REF.fullmatch(rule["ref"])):
        return "ref has characters that are not allowed"
    if phase == RATE_LIMIT:
        return _ratelimit_problem(rule.get("ratelimit"))
    return "ratelimit belongs to the phase http_ratelimit" if rule.get("ratelimit") else None


def _ratelimit_problem(limit: Any) -> str | None:
    if not isinstance(limit, dict):
        return "ratelimit is needed"
    characteristics = limit.get("characteristics")
    if not isinstance(characteristics, Sequence) or _EACH_PLACE not in characteristics:
        return f"characteristics must have {_EACH_PLACE}"
    if limit.get("period") not in _PERIODS:
        return f"period is one of {', '.join(map(str, _PERIODS))}"
    if not _whole(limit.get("requests_per_period"), 1, 2**31):
        return "requests_per_period must be a positive number"
    if not _whole(limit.get("mitigation_timeout", 0), 0, _LONGEST_TIMEOUT):
        return f"mitigation_timeout is at most {_LONGEST_TIMEOUT} seconds"
    return None


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _ruleset(call: Call) -> dict[str, Any]:
    for ruleset in call.store.find("ruleset", owner=zone_of(call)["id"]):
        if ruleset["id"] == call.path["ruleset_id"]:
            return ruleset
    raise envelope.failure(404, (10003, "could not find ruleset"))
