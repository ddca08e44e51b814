"""Serves zones and their DNS records (``/zones`` and ``/zones/:id/dns_records``)."""

import hashlib
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import dns_records, envelope, permissions
from factory.local_cloudflare.api.call import Call, new_id
from factory.local_cloudflare.store import Kind
from factory.model.cloudflare import PLANS
from factory.system import clock

_OF_A_ZONE: tuple[Kind, ...] = ("dns_record", "zone_setting", "ruleset")
_ZONE_TYPES = ("full", "partial", "secondary", "internal")
# The double's own: at Cloudflare a new zone is on the plan free. A larger plan lets roots that create their zone have
# every rate limit; ``/subscription`` changes it.
_NEW_ZONE_PLAN = "enterprise"
_PLAN_NAMES = {
    "free": "Free Website",
    "pro": "Pro Website",
    "business": "Business Website",
    "enterprise": "Enterprise Website",
}


def list_zones(call: Call) -> web.Response:
    """Return the zones that the token may read; ``name``, ``status`` and ``account.id`` filter the list."""
    policies = call.token["policies"] if call.token else None
    zones = [
        zone
        for zone in call.store.find("zone", name=call.query.get("name"))
        if call.query.get("status", zone["status"]) == zone["status"]
        and call.query.get("account.id", zone["account"]["id"]) == zone["account"]["id"]
        and (policies is None or permissions.reads_zone(policies, zone["id"], zone["account"]["id"]))
    ]
    return envelope.page(zones, call.query)


def create_zone(call: Call) -> web.Response:
    """Create a zone, which is ``active`` at once, because no domain can be delegated to loopback."""
    name = str(call.body.get("name") or "").lower().rstrip(".")
    account = call.body.get("account") or {}
    kind = call.body.get("type") or "full"
    if not dns_records.hostname(name):
        raise envelope.failure(400, (1049, f"{name or 'the name'} is not a registered domain"))
    if not isinstance(account, dict) or not isinstance(account.get("id"), str):
        raise envelope.failure(400, (1001, "Invalid account identifier"))
    if kind not in _ZONE_TYPES:
        raise envelope.failure(400, (1004, "Invalid zone type"))
    if call.store.find("zone", name=name):
        raise envelope.failure(400, (1061, f"{name} already exists"))
    now = clock.timestamp()
    zone: dict[str, Any] = {
        "id": new_id(),
        "name": name,
        "status": "active",
        "paused": False,
        "type": kind,
        "development_mode": 0,
        "name_servers": ["one.ns.local-cloudflare.test", "two.ns.local-cloudflare.test"],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "created_on": now,
        "modified_on": now,
        "activated_on": now,
        "account": {"id": account["id"], "name": "local-cloudflare"},
        "owner": {"id": None, "type": "user", "email": None},
        "permissions": ["#zone:read", "#zone:edit", "#dns_records:read", "#dns_records:edit"],
        "plan": _plan(_NEW_ZONE_PLAN),
    }
    call.store.put("zone", zone["id"], zone, owner=account["id"], name=name)
    return envelope.success(zone)


def get_zone(call: Call) -> web.Response:
    """Return one zone."""
    return envelope.success(zone_of(call))


def edit_zone(call: Call) -> web.Response:
    """Change ``paused`` or ``type`` of a zone."""
    zone = zone_of(call)
    paused, kind = call.body.get("paused", zone["paused"]), call.body.get("type", zone["type"])
    if not isinstance(paused, bool) or kind not in _ZONE_TYPES:
        raise envelope.failure(400, (1004, "Invalid zone settings"))
    changed = zone | {"paused": paused, "type": kind, "modified_on": clock.timestamp()}
    call.store.put("zone", zone["id"], changed, owner=zone["account"]["id"], name=zone["name"])
    return envelope.success(changed)


def subscribe(call: Call) -> web.Response:
    """Change a zone's plan (``rate_plan``); rules that exist stay, as the double does not know what Cloudflare does."""
    zone, wanted = zone_of(call), call.body.get("rate_plan")
    key = wanted.get("id") if isinstance(wanted, dict) else None
    if not isinstance(key, str) or key not in PLANS:
        raise envelope.failure(400, (1004, f"rate_plan.id is one of {', '.join(PLANS)}"))
    call.store.put("zone", zone["id"], zone | {"plan": _plan(key)}, owner=zone["account"]["id"], name=zone["name"])
    return envelope.success(
        {"id": zone["id"], "rate_plan": {"id": key, "public_name": _PLAN_NAMES[key], "scope": "zone"}}
    )


def delete_zone(call: Call) -> web.Response:
    """Delete a zone with its records, settings and rulesets."""
    zone = zone_of(call)
    for kind in _OF_A_ZONE:
        call.store.delete_of(kind, zone["id"])
    call.store.delete("zone", zone["id"])
    return envelope.success({"id": zone["id"]})


def list_records(call: Call) -> web.Response:
    """Return a zone's records; ``name``, ``type`` and ``content`` filter the list."""
    zone = zone_of(call)
    filters = {key: call.query.get(key, call.query.get(f"{key}.exact")) for key in ("name", "type", "content")}
    records = [
        record
        for record in call.store.find("dns_record", owner=zone["id"])
        if all(value is None or record[key] == value for key, value in filters.items())
    ]
    return envelope.page(records, call.query)


def create_record(call: Call) -> web.Response:
    """Create a DNS record."""
    now = clock.timestamp()
    base = {"id": new_id(), "settings": {}, "meta": {}, "created_on": now, "modified_on": now}
    return _save_record(call, zone_of(call), base, call.body)


def get_record(call: Call) -> web.Response:
    """Return one DNS record."""
    return envelope.success(_record(call, zone_of(call)))


def overwrite_record(call: Call) -> web.Response:
    """Replace a DNS record with the request's body (PUT)."""
    zone = zone_of(call)
    return _save_record(call, zone, _record(call, zone), call.body)


def edit_record(call: Call) -> web.Response:
    """Change the fields of a DNS record that the request names (PATCH)."""
    zone = zone_of(call)
    record = _record(call, zone)
    return _save_record(call, zone, record, record | dict(call.body))


def delete_record(call: Call) -> web.Response:
    """Delete a DNS record."""
    record = _record(call, zone_of(call))
    call.store.delete("dns_record", record["id"])
    return envelope.success({"id": record["id"]})


def zone_of(call: Call) -> dict[str, Any]:
    """Return the zone in a request's path; raises a 404 response."""
    zone = call.store.get("zone", call.path["zone_id"])
    if zone is None:
        raise envelope.failure(404, (1001, "Invalid zone identifier"))
    return zone


def _plan(key: str) -> dict[str, Any]:
    return {
        "id": hashlib.sha256(key.encode()).hexdigest()[:32],
        "name": _PLAN_NAMES[key],
        "price": 0,
        "currency": "USD",
        "frequency": "",
        "is_subscribed": False,
        "can_subscribe": False,
        "legacy_id": key,
        "legacy_discount": False,
        "externally_managed": False,
    }


def _record(call: Call, zone: dict[str, Any]) -> dict[str, Any]:
    for record in call.store.find("dns_record", owner=zone["id"]):
        if record["id"] == call.path["dns_record_id"]:
            return record
    raise envelope.failure(404, (81044, "Record does not exist."))


def _save_record(call: Call, zone: dict[str, Any], base: dict[str, Any], body: Any) -> web.Response:
    fields = dns_records.record(body, zone=zone["name"])
    if isinstance(fields, dns_records.Problem):
        raise envelope.failure(400, (fields.code, fields.message))
    others = [other for other in call.store.find("dns_record", owner=zone["id"]) if other["id"] != base["id"]]
    problem = dns_records.clash(fields, others)
    if problem:
        raise envelope.failure(400, (problem.code, problem.message))
    record = base | fields | {"modified_on": clock.timestamp()}
    call.store.put("dns_record", record["id"], record, owner=zone["id"], name=record["name"])
    return envelope.success(record)
