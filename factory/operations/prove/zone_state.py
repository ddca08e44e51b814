"""What a zone has, as lines that can be compared: its records, rules and settings, and the account's tunnels."""

from collections.abc import Iterable, Mapping

from factory.cloudflare import zones
from factory.cloudflare.client import Reader
from factory.errors import ProofFailed
from factory.model.cloudflare import ZoneFacts

_MOST = 5


def lines(reader: Reader, zone: ZoneFacts) -> tuple[str, ...]:
    """Return what the zone has, a sorted line for each object; raises the errors of ``Reader.get``.

    An empty ruleset counts as none: Terraform takes it over, and deletes it at the end.
    """
    found = zones.contents(reader, zone)
    records = (f"record {item.type} {item.name} {item.content}" for item in found.records)
    rules = (f"rule {phase.phase} {rule.ref} {rule.expression}" for phase in found.rulesets for rule in phase.rules)
    settings = (f"setting {_setting(item)}" for item in reader.all(f"/zones/{zone.id}/settings"))
    tunnels = (
        f"tunnel {item.get('name')}"
        for item in reader.all(f"/accounts/{zone.account}/cfd_tunnel")
        if not item.get("deleted_at")
    )
    return tuple(sorted([*records, *rules, *settings, *tunnels]))


def require_equal(before: Iterable[str], after: Iterable[str]) -> None:
    """Raise ``ProofFailed`` with the first differences if a zone does not have what it had before."""
    old, new = set(before), set(after)
    found = [
        *(f"no longer there: {line}" for line in sorted(old - new)),
        *(f"new: {line}" for line in sorted(new - old)),
    ]
    if found:
        more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
        raise ProofFailed("; ".join(found[:_MOST]) + more)


def _setting(item: Mapping[str, object]) -> str:
    return f"{item.get('id')} {item.get('value')}"
