"""The manifest of a plan: a digest of each input that must not change before the plan is applied."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from factory.errors import InvalidInput
from factory.model.facts import SENSITIVE
from factory.system import canonical, data


@dataclass(frozen=True)
class Manifest:
    """The inputs of a plan. Digests are ``sha256:<hex>``; ``base`` is the commit that ``commit`` is compared with."""

    stack: str
    commit: str
    base: str
    plan_file: str
    plan: str
    state_lineage: str
    state_serial: int
    provider_lock: str
    terraform: str
    policy: str
    source: str
    variables: str
    archives: str

    def digest(self) -> str:
        """Return the manifest's digest, which an approval names."""
        return canonical.digest_of(asdict(self))

    def encode(self) -> bytes:
        """Return the manifest's canonical JSON."""
        return canonical.encode(asdict(self))

    def differences(self, other: "Manifest") -> list[str]:
        """Return the names of the fields in which two manifests differ."""
        mine, theirs = asdict(self), asdict(other)
        return [name for name in mine if mine[name] != theirs[name]]


def decode(content: bytes) -> Manifest:
    """Return the manifest in a file's bytes; raises ``InvalidInput``."""
    return data.read(Manifest, content, source="the plan's manifest")


def normalise(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes in a plan's JSON, in a fixed order, without times, floats and sensitive values.

    Terraform docs: JSON output format, plan representation. ``*_sensitive`` has the shape of the values, with ``true``
    for each sensitive one. Raises ``InvalidInput`` if the plan ended in an error or is incomplete.
    """
    if plan.get("errored") or plan.get("complete") is False or plan.get("deferred_changes"):
        raise InvalidInput("the plan is incomplete: terraform ended with an error or deferred changes")
    changes = [_change(item) for item in plan.get("resource_changes") or []]
    outputs = plan.get("output_changes") or {}
    return {
        "format_version": str(plan.get("format_version", "")),
        "resource_changes": sorted(changes, key=lambda item: str(item["address"])),
        "output_changes": {name: _sides(change) for name, change in sorted(outputs.items())},
    }


def drifted(plan: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the drift in a refresh-only plan's JSON, sorted by address, with sensitive values redacted.

    ``schemas`` maps each resource type to its attributes by name (Terraform docs: providers schema). Attributes that
    only the provider sets, such as the time of the last change, are left out. Each item has ``address``, ``type``,
    ``actions`` and ``changed``: the changed attributes of an updated resource, each with ``before`` and ``after``.
    The order of a list of plain values does not matter; the order of a list of objects, such as rules, does. Raises
    ``InvalidInput`` if the plan ended in an error or is incomplete.
    """
    normalise(plan)
    found = [_drift(item, schemas.get(str(item["type"]), {})) for item in plan.get("resource_drift") or []]
    # `resource_drift` also lists resources that only moved within the configuration, without a change.
    kept = [item for item in found if item["changed"] or item["actions"] not in (["no-op"], ["update"])]
    return sorted(kept, key=lambda item: str(item["address"]))


def _drift(item: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    change, shown = item["change"], _sides(item["change"])
    before, after = (_settable(change.get(side) or {}, schema) for side in ("before", "after"))
    names = sorted({*before, *after}) if shown["actions"] == ["update"] else []
    # Values are compared before they are redacted, because redacted values are all equal.
    changed = [name for name in names if _unordered(before.get(name)) != _unordered(after.get(name))]
    redacted = {side: _settable(shown[side] or {}, schema) for side in ("before", "after")}
    return {
        "address": str(item["address"]),
        "type": str(item["type"]),
        "actions": shown["actions"],
        "changed": {name: {side: redacted[side].get(name) for side in redacted} for name in changed},
    }


def _settable(values: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return values without those that only the provider sets, at any depth; values not in the schema are kept."""
    found = {}
    for name, value in values.items():
        known = schema.get(name) or {}
        if known.get("computed") and not known.get("optional"):
            continue
        nested = known.get("nested_type") or {}
        found[name] = _nested(value, nested.get("attributes") or {}, map_of=nested.get("nesting_mode") == "map")
    return found


def _nested(value: Any, schema: Mapping[str, Any], *, map_of: bool) -> Any:
    if isinstance(value, list):
        return [_nested(item, schema, map_of=False) for item in value]
    if not isinstance(value, dict) or not schema:
        return value
    if map_of:
        return {key: _nested(item, schema, map_of=False) for key, item in value.items()}
    return _settable(value, schema)


def _unordered(value: Any) -> Any:
    """Return a value with every list of plain values sorted."""
    if isinstance(value, dict):
        return {key: _unordered(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    if any(isinstance(item, dict | list) for item in value):
        return [_unordered(item) for item in value]
    return sorted(value, key=json.dumps)


def _change(item: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("address", "previous_address", "deposed", "type", "name", "provider_name", "mode")
    importing = item["change"].get("importing") or {}
    return {key: str(item.get(key) or "") for key in keys} | {
        "importing": str(importing.get("id") or ("(known after the apply)" if importing else "")),
        "change": _sides(item["change"]),
    }


def _sides(change: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "actions": list(change.get("actions") or []),
        "before": _redact(change.get("before"), change.get("before_sensitive")),
        "after": _redact(change.get("after"), change.get("after_sensitive")),
        "after_unknown": _plain(change.get("after_unknown")),
    }


def _redact(value: Any, sensitive: Any) -> Any:
    if sensitive is True:
        return SENSITIVE
    if isinstance(value, dict):
        marks = sensitive if isinstance(sensitive, dict) else {}
        return {key: _redact(item, marks.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        items = sensitive if isinstance(sensitive, list) else []
        return [_redact(item, items[index] if index < len(items) else None) for index, item in enumerate(value)]
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return repr(value) if isinstance(value, float) else value
