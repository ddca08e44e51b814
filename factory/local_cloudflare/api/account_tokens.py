"""Serves an account's API tokens (``/accounts/:id/tokens``). The double accepts a token that was created here."""

import hashlib
import ipaddress
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import envelope, permissions
from factory.local_cloudflare.api.call import Call, new_id
from factory.local_cloudflare.store import Store
from factory.local_cloudflare.tokens import PREFIX
from factory.system import clock

_STATUSES = ("active", "disabled")
_FIELDS = ("name", "policies", "status", "expires_on", "not_before", "condition")


def list_tokens(call: Call) -> web.Response:
    """Return an account's tokens without their values."""
    found = call.store.find("account_token", owner=call.path["account_id"])
    return envelope.page([_shown(token) for token in found], call.query)


def list_groups(call: Call) -> web.Response:
    """Return the permission groups that the double supports."""
    groups = [{"id": key, "name": name, "scopes": [scope]} for key, (name, scope) in permissions.GROUPS.items()]
    return envelope.page(groups, call.query)


def create_token(call: Call) -> web.Response:
    """Create a token; only this answer has its value, and the store has only a digest."""
    value = f"{PREFIX}{secrets.token_urlsafe(30)}"
    now = clock.timestamp()
    token = {"id": new_id(), "issued_on": now, "modified_on": now, "last_used_on": None, "digest": _digest(value)}
    return envelope.success(_save(call, token, call.body) | {"value": value})


def get_token(call: Call) -> web.Response:
    """Return one token without its value."""
    return envelope.success(_shown(_token(call)))


def update_token(call: Call) -> web.Response:
    """Replace a token's properties (PUT), but not its value."""
    return envelope.success(_save(call, _token(call), call.body))


def delete_token(call: Call) -> web.Response:
    """Delete a token; the API then rejects it."""
    token = _token(call)
    call.store.delete("account_token", token["id"])
    return envelope.success({"id": token["id"]})


def by_value(store: Store, value: str) -> dict[str, Any] | None:
    """Return the token with this value, or ``None``."""
    found = store.find("account_token", name=_digest(value))
    return found[0] if found else None


def status(token: Mapping[str, Any], now: datetime) -> str:
    """Return ``active``, ``disabled`` or ``expired``; a token is ``disabled`` before its ``not_before``."""
    if token.get("expires_on") and clock.parse(token["expires_on"]) <= now:
        return "expired"
    if token.get("not_before") and clock.parse(token["not_before"]) > now:
        return "disabled"
    return str(token["status"])


def from_here(token: Mapping[str, Any], address: str) -> bool:
    """Return whether a token's condition allows a client's address."""
    rule = (token.get("condition") or {}).get("request_ip") or {}
    client = ipaddress.ip_address(address)
    inside = {
        key: any(client in ipaddress.ip_network(each) for each in rule.get(key) or []) for key in ("in", "not_in")
    }
    return (inside["in"] or not rule.get("in")) and not inside["not_in"]


def _save(call: Call, token: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: body.get(key) for key in _FIELDS} | {"status": body.get("status") or "active"}
    problem = _problem(fields) or permissions.problem(fields["policies"])
    if problem:
        raise envelope.failure(400, (1001, f"Invalid token: {problem}"))
    saved = {**token, **fields, "account": call.path["account_id"], "modified_on": clock.timestamp()}
    call.store.put("account_token", saved["id"], saved, owner=call.path["account_id"], name=saved["digest"])
    return _shown(saved)


def _problem(fields: Mapping[str, Any]) -> str | None:
    if not isinstance(fields["name"], str) or not fields["name"]:
        return "it needs a name"
    if fields["status"] not in _STATUSES:
        return "status is active or disabled"
    for key in ("expires_on", "not_before"):
        if fields[key] is not None and not _is_moment(fields[key]):
            return f"{key} is not a time such as 2026-01-31T00:00:00Z"
    if fields["expires_on"] and clock.parse(fields["expires_on"]) <= clock.now():
        return "expires_on is in the past"
    return None if _is_condition(fields["condition"]) else "condition is not one of client addresses"


def _is_moment(text: Any) -> bool:
    try:
        return isinstance(text, str) and clock.parse(text).tzinfo is not None
    except ValueError:
        return False


def _is_condition(value: Any) -> bool:
    try:
        rule = (value or {}).get("request_ip") or {}
        return all(bool(ipaddress.ip_network(each)) for key in ("in", "not_in") for each in rule.get(key) or [])
    except (AttributeError, TypeError, ValueError):
        return False


def _token(call: Call) -> dict[str, Any]:
    for token in call.store.find("account_token", owner=call.path["account_id"]):
        if token["id"] == call.path["token_id"]:
            return token
    raise envelope.failure(404, (1003, "Token not found"))


def _shown(token: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: value for key, value in token.items() if key not in {"digest", "account"} and value is not None}
    return {**fields, "last_used_on": None, "status": status(token, clock.now())}


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
