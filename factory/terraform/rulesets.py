"""Reads from a plan's JSON which rulesets of Cloudflare zones it changes, and which rules the last apply left."""

from collections.abc import Iterator, Mapping

from factory.model.cloudflare import PlannedRuleset, Rule

_SIDES = ("before", "after")
_RULESET, _ZONE = "cloudflare_ruleset", "cloudflare_zone"


def changed(plan: Mapping[str, object]) -> tuple[PlannedRuleset, ...]:
    """Return the rulesets that a plan creates, changes, imports or deletes, if their zone exists.

    ``resource_drift`` has the values that the state had before the plan read the real ones (Terraform docs: JSON
    output format), so that a rule which somebody else added is not taken for ours.
    """
    resources = list(_items(plan.get("resource_changes")))
    before = {_text(item, "address"): _side(item, "before") for item in _items(plan.get("resource_drift"))}
    zones = {_text(_side(item, side), "id") for item in resources for side in _SIDES if item.get("type") == _ZONE}
    return tuple(
        _ruleset(item, before, zones)
        for item in resources
        if item.get("type") == _RULESET and _changes(item) and _zone_of(item)
    )


def _ruleset(item: Mapping[str, object], drift: Mapping[str, Mapping[str, object]], zones: set[str]) -> PlannedRuleset:
    address, now, then = _text(item, "address"), _side(item, "before"), _side(item, "after")
    recorded = {} if _part(item, "change").get("importing") else drift.get(address, now)
    return PlannedRuleset(
        address=address,
        zone=_zone_of(item),
        phase=_text(then, "phase") or _text(now, "phase"),
        id=_text(now, "id"),
        rules=tuple(_rule(rule) for rule in _items(then.get("rules"))),
        recorded=frozenset(_text(rule, "id") for rule in _items(recorded.get("rules"))),
        owned=_zone_of(item) in zones,
    )


def _rule(item: Mapping[str, object]) -> Rule:
    limit = _part(item, "ratelimit")
    return Rule(
        _text(item, "id"),
        _text(item, "ref"),
        _text(item, "description"),
        _text(item, "expression"),
        _number(limit, "period"),
        _number(limit, "mitigation_timeout"),
    )


def _changes(item: Mapping[str, object]) -> bool:
    change = _part(item, "change")
    return change.get("actions") not in (["no-op"], ["read"]) or bool(change.get("importing"))


def _zone_of(item: Mapping[str, object]) -> str:
    return _text(_side(item, "after"), "zone_id") or _text(_side(item, "before"), "zone_id")


def _side(item: Mapping[str, object], name: str) -> Mapping[str, object]:
    return _part(_part(item, "change"), name)


def _part(item: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = item.get(name)
    return value if isinstance(value, dict) else {}


def _items(value: object) -> Iterator[Mapping[str, object]]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _text(item: Mapping[str, object], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _number(item: Mapping[str, object], name: str) -> int:
    value = item.get(name)
    return int(value) if isinstance(value, int | float) else 0
