"""The manifest of a plan: a digest for each thing that must still be the same when the plan is applied."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from factory.errors import InvalidInput
from factory.model.facts import SENSITIVE
from factory.system import canonical


@dataclass(frozen=True)
class Manifest:
    """What a plan is made of; digests are ``sha256:<hex>``, ``base`` is the commit that ``commit`` is compared with."""

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

    def digest(self) -> str:
        """Return the digest that an approval names."""
        return canonical.digest_of(asdict(self))

    def encode(self) -> bytes:
        """Return the manifest's canonical JSON."""
        return canonical.encode(asdict(self))

    def differences(self, other: "Manifest") -> list[str]:
        """Return the names of the fields in which two manifests differ."""
        mine, theirs = asdict(self), asdict(other)
        return [name for name in mine if mine[name] != theirs[name]]


def decode(data: bytes) -> Manifest:
    """Return the manifest in a file's bytes; raises ``InvalidInput``."""
    try:
        return Manifest(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise InvalidInput("the plan's manifest is not readable") from error


def normalise(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan's JSON says will change, without times, floats and sensitive values, in a fixed order.

    Terraform docs: JSON output format, plan representation. ``*_sensitive`` marks values with ``true`` in the same
    shape as the values. Raises ``InvalidInput`` for a plan that ended in an error or leaves something out.
    """
    if plan.get("errored") or plan.get("complete") is False or plan.get("deferred_changes"):
        raise InvalidInput("the plan is not complete: terraform ended with an error or put something off")
    changes = [_change(item) for item in plan.get("resource_changes") or []]
    outputs = plan.get("output_changes") or {}
    return {
        "format_version": str(plan.get("format_version", "")),
        "resource_changes": sorted(changes, key=lambda item: str(item["address"])),
        "output_changes": {name: _sides(change) for name, change in sorted(outputs.items())},
    }


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
