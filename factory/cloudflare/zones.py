"""Reads a zone: what it is, its records, the rules of its phases, its settings."""

import re
from collections.abc import Mapping

from factory.cloudflare.client import Reader, listed, mapping, text
from factory.errors import Conflict, InvalidInput, NotFound
from factory.model.cloudflare import Record, Rule, Ruleset, ZoneContents, ZoneFacts

_ID = re.compile(r"[0-9a-f]{32}")
_PHASE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_MOST_PHASES = 60


def find(reader: Reader, name: str) -> ZoneFacts:
    """Return the zone of a domain; raises ``NotFound``, ``Conflict`` for several, ``InvalidInput`` for no domain."""
    if not _DOMAIN.fullmatch(name):
        raise InvalidInput(f"{name!r} is not a domain such as acme.com")
    zones = [_zone(item) for item in listed(reader.get("/zones", name=name), "/zones")]
    zones = [zone for zone in zones if zone.name == name]
    if not zones:
        raise NotFound(
            f"Cloudflare has no zone {name} that this token may read",
            hint="Check the name of the domain, and that the token has the permission Zone Read for this zone.",
        )
    if len(zones) > 1:
        accounts = ", ".join(zone.account for zone in zones)
        raise Conflict(f"several accounts have a zone {name}: {accounts}", hint="Use a token of only one account.")
    return zones[0]


def read(reader: Reader, zone: str) -> ZoneFacts:
    """Return the zone with an id; raises the errors of ``Reader.get``."""
    return _zone(mapping(reader.get(f"/zones/{_checked(zone)}"), "the zone"))


def contents(reader: Reader, zone: ZoneFacts) -> ZoneContents:
    """Return what a zone has; raises the errors of ``Reader.get``."""
    records = tuple(
        Record(text(item, "id", _ID), text(item, "name").lower(), text(item, "type"), str(item.get("content") or ""))
        for item in reader.all(f"/zones/{zone.id}/dns_records")
    )
    found = [item for item in reader.following(f"/zones/{zone.id}/rulesets") if item.get("kind") == "zone"]
    phases = sorted({text(item, "phase", _PHASE) for item in found})
    if len(phases) > _MOST_PHASES:
        raise InvalidInput(f"{zone.name} has rulesets in {len(phases)} phases")
    rulesets = (entrypoint(reader, zone.id, phase) for phase in phases)
    settings = listed(reader.get(f"/zones/{zone.id}/settings"), "the settings")
    return ZoneContents(
        zone, records, tuple(item for item in rulesets if item), tuple(sorted(text(item, "id") for item in settings))
    )


def entrypoint(reader: Reader, zone: str, phase: str) -> Ruleset | None:
    """Return the ruleset of a zone's phase, or ``None`` if there is none."""
    try:
        found = reader.get(f"/zones/{_checked(zone)}/rulesets/phases/{phase}/entrypoint")
    except NotFound:
        return None
    item = mapping(found, "the ruleset")
    rules = listed(item.get("rules") or [], "the rules")
    return Ruleset(text(item, "id", _ID), phase, tuple(_rule(rule) for rule in rules))


def _zone(item: Mapping[str, object]) -> ZoneFacts:
    account = mapping(item.get("account"), "the zone's account")
    plan = item.get("plan")
    legacy = plan.get("legacy_id") if isinstance(plan, dict) else None
    return ZoneFacts(
        text(item, "id", _ID), text(item, "name", _DOMAIN), text(account, "id", _ID), str(legacy or "unknown")
    )


def _rule(item: Mapping[str, object]) -> Rule:
    limit = item.get("ratelimit")
    values = limit if isinstance(limit, dict) else {}
    return Rule(
        text(item, "id"),
        str(item.get("ref") or item["id"]),
        str(item.get("description") or ""),
        str(item.get("expression") or ""),
        _seconds(values.get("period")),
        _seconds(values.get("mitigation_timeout")),
    )


def _seconds(value: object) -> int:
    return value if isinstance(value, int) else 0


def _checked(zone: str) -> str:
    if not _ID.fullmatch(zone):
        raise InvalidInput(f"{zone!r} is not the id of a zone")
    return zone
