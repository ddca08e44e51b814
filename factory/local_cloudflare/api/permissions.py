"""Decides whether an account token's policies allow a request, using Cloudflare's permission groups.

All functions are pure: they return a decision for a request's method and path.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACCOUNT = "com.cloudflare.api.account"
ZONE = f"{ACCOUNT}.zone"
READING = frozenset({"GET", "HEAD", "OPTIONS"})

# Cloudflare's permission groups for the double's routes. The ids are the same in every account (API:
# GET /accounts/:id/tokens/permission_groups). A write group also allows reading.
GROUPS: Mapping[str, tuple[str, str]] = {
    "c8fed203ed3043cba015a93ad1616f1f": ("Zone Read", ZONE),
    "e6d2666161e84845a636613608cee8d5": ("Zone Write", ZONE),
    "82e64a83756745bbbb1c9c2701bf816b": ("DNS Read", ZONE),
    "4755a26eedb94da69e1066d98aa820be": ("DNS Write", ZONE),
    "517b21aee92c4d89936c976ba6e4be55": ("Zone Settings Read", ZONE),
    "3030687196b94b638145a3953da2b699": ("Zone Settings Write", ZONE),
    "dbc512b354774852af2b5a5f4ba3d470": ("Zone WAF Read", ZONE),
    "fb6778dc191143babbfaa57993f1d275": ("Zone WAF Write", ZONE),
    "efea2ab8357b47888938f101ae5e053f": ("Cloudflare Tunnel Read", ACCOUNT),
    "c07321b023e944ff818fec44d8203567": ("Cloudflare Tunnel Write", ACCOUNT),
    "eb56a6953c034b9d97dd838155666f06": ("Account API Tokens Read", ACCOUNT),
    "5bc3f8b21c554832afc660159ab75fa4": ("Account API Tokens Write", ACCOUNT),
}

_PATH = re.compile(r"/client/v4/(zones|accounts)(?:/([^/]+))?(?:/([^/]+).*)?")
_KINDS = {
    ("zones", None): "Zone",
    ("zones", "dns_records"): "DNS",
    ("zones", "settings"): "Zone Settings",
    ("zones", "rulesets"): "Zone WAF",
    ("accounts", "cfd_tunnel"): "Cloudflare Tunnel",
    ("accounts", "tokens"): "Account API Tokens",
}


@dataclass(frozen=True)
class PermissionCheck:
    """The permission for a request: one of ``groups`` on ``resource``, such as ``….account.zone.<id>``.

    ``zone`` is the zone's id, or empty for a request about the account.
    """

    groups: tuple[str, ...]
    resource: str
    zone: str = ""


def wanted(method: str, path: str) -> PermissionCheck | None:
    """Return the permission that a request needs, or ``None`` if no permission group allows its route.

    Creating zones needs all zones (``….zone.*``). ``reads_zone`` decides which zones a list has.
    """
    match = _PATH.fullmatch(path)
    name = _KINDS.get((match[1], match[3])) if match else None
    if match is None or name is None:
        return None
    groups = (f"{name} Write",) if method not in READING else (f"{name} Read", f"{name} Write")
    if match[1] == "zones":
        return PermissionCheck(groups, f"{ZONE}.{match[2] or '*'}", match[2] or "")
    return PermissionCheck(groups, f"{ACCOUNT}.{match[2]}")


def allowed(policies: Sequence[Mapping[str, Any]], want: PermissionCheck, account: str) -> bool:
    """Return whether policies allow a request; a ``deny`` wins. ``account`` is the owner of the request's zone."""
    effects = {policy["effect"] for policy in policies if _applies(policy, want, account)}
    return "allow" in effects and "deny" not in effects


def reads_zone(policies: Sequence[Mapping[str, Any]], zone: str, account: str) -> bool:
    """Return whether policies allow reading a zone: a list of zones has only those that its token may read."""
    want = PermissionCheck(("Zone Read", "Zone Write"), f"{ZONE}.{zone}", zone)
    return allowed(policies, want, account)


def problem(policies: Any) -> str | None:
    """Return why policies are not valid for an account token, or ``None``."""
    if not isinstance(policies, list) or not policies:
        return "a token needs at least one policy"
    return next((found for found in map(_policy_problem, policies) if found), None)


def _policy_problem(policy: Any) -> str | None:
    if not isinstance(policy, dict) or policy.get("effect") not in {"allow", "deny"}:
        return "a policy's effect is allow or deny"
    groups = policy.get("permission_groups")
    if not isinstance(groups, list) or not groups or not all(isinstance(each, dict) for each in groups):
        return "a policy needs permission groups"
    unknown = [str(each.get("id")) for each in groups if each.get("id") not in GROUPS]
    if unknown:
        return f"permission group {unknown[0]} is not one that the loopback double has"
    found = list(_resources(policy.get("resources")))
    if not found or {GROUPS[each["id"]][1] for each in groups} != {name.rpartition(".")[0] for name, _ in found}:
        return "the resources of a policy must be of the kind that its permission groups are for"
    if (f"{ZONE}.*", "") in found:
        return "must specify a zone for account owned tokens"
    return None


def _applies(policy: Mapping[str, Any], want: PermissionCheck, account: str) -> bool:
    names = {GROUPS[each["id"]][0] for each in policy["permission_groups"]}
    # Denying a write group does not deny reading, although allowing a write group allows reading.
    if not names.intersection(want.groups if policy["effect"] == "allow" else want.groups[:1]):
        return False
    wildcard = f"{want.resource.rpartition('.')[0]}.*"
    return any(
        name in {want.resource, wildcard} and owner in {"", f"{ACCOUNT}.{account}"}
        for name, owner in _resources(policy["resources"])
    )


def _resources(resources: Any) -> Iterator[tuple[str, str]]:
    """Yield each resource with the account that contains it, or with an empty text if it is at the top level."""
    if not isinstance(resources, dict):
        return
    for name, value in resources.items():
        if value == "*":
            yield name, ""
        elif isinstance(value, dict):
            yield from ((inner, name) for inner, star in value.items() if star == "*")
