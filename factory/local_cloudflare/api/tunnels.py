"""Serves Cloudflare Tunnels and their remote configuration (``/accounts/:id/cfd_tunnel``)."""

import base64
import re
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import envelope
from factory.local_cloudflare.api.call import Call
from factory.system import clock

_CONFIG_SOURCES = ("local", "cloudflare")
_ANY_HOSTNAME = (None, "", "*")
_SECRET_BYTES = 32


def list_tunnels(call: Call) -> web.Response:
    """Return an account's tunnels, including deleted ones; ``name`` and ``is_deleted`` filter the list."""
    deleted = {"true": True, "false": False}.get(call.query.get("is_deleted", ""))
    tunnels = [
        tunnel
        for tunnel in call.store.find("tunnel", owner=call.path["account_id"], name=call.query.get("name"))
        if deleted is None or deleted is (tunnel["deleted_at"] is not None)
    ]
    return envelope.page(tunnels, call.query)


def create_tunnel(call: Call) -> web.Response:
    """Create a tunnel; its secret is checked but not stored, because nothing connects with it."""
    account, source = call.path["account_id"], call.body.get("config_src") or "local"
    if source not in _CONFIG_SOURCES:
        raise envelope.failure(400, (1001, "config_src must be local or cloudflare"))
    _check_secret(call.body.get("tunnel_secret"))
    now = clock.timestamp()
    tunnel: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "account_tag": account,
        "created_at": now,
        "deleted_at": None,
        "name": _free_name(call, call.body.get("name")),
        "connections": [],
        "conns_active_at": None,
        "conns_inactive_at": now,
        "tun_type": "cfd_tunnel",
        "metadata": {},
        "status": "inactive",
        "config_src": source,
        "remote_config": source == "cloudflare",
    }
    _save(call, tunnel)
    return envelope.success(tunnel)


def get_tunnel(call: Call) -> web.Response:
    """Return one tunnel; ``deleted_at`` is set if it is deleted."""
    return envelope.success(_tunnel(call))


def edit_tunnel(call: Call) -> web.Response:
    """Change a tunnel's name or secret."""
    tunnel = _existing(call)
    _check_secret(call.body.get("tunnel_secret"))
    if call.body.get("name", tunnel["name"]) != tunnel["name"]:
        tunnel["name"] = _free_name(call, call.body["name"])
    _save(call, tunnel)
    return envelope.success(tunnel)


def delete_tunnel(call: Call) -> web.Response:
    """Mark a tunnel as deleted; it can still be read, but gets no traffic."""
    tunnel = _existing(call) | {"deleted_at": clock.timestamp()}
    _save(call, tunnel)
    return envelope.success(tunnel)


def get_configuration(call: Call) -> web.Response:
    """Return a tunnel's configuration; ``config`` is null before the first PUT."""
    tunnel = _tunnel(call)
    return envelope.success(call.store.get("configuration", tunnel["id"]) or _configuration(tunnel, 0, None))


def put_configuration(call: Call) -> web.Response:
    """Replace a tunnel's configuration and increment its ``version``. A ``local`` tunnel ignores it."""
    tunnel = _existing(call)
    config = call.body.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("ingress"), list):
        raise envelope.failure(400, (1056, "Bad Configuration: config.ingress is required"))
    problem = _ingress_problem(config["ingress"])
    if problem:
        raise envelope.failure(400, (1056, f"Bad Configuration: {problem}"))
    previous = call.store.get("configuration", tunnel["id"]) or {"version": 0}
    configuration = _configuration(tunnel, previous["version"] + 1, config)
    call.store.put("configuration", tunnel["id"], configuration, owner=tunnel["account_tag"])
    return envelope.success(configuration)


def _configuration(tunnel: dict[str, Any], version: int, config: Any) -> dict[str, Any]:
    return {
        "account_id": tunnel["account_tag"],
        "tunnel_id": tunnel["id"],
        "version": version,
        "config": config,
        "source": "cloudflare",
        "created_at": clock.timestamp() if version else tunnel["created_at"],
    }


def _ingress_problem(rules: Sequence[Any]) -> str | None:
    if not rules:
        return "at least one ingress rule is required"
    for number, rule in enumerate(rules, 1):
        problem = _rule_problem(rule)
        if problem:
            return f"Rule #{number} {problem}"
        matches_all = rule.get("hostname") in _ANY_HOSTNAME and not rule.get("path")
        if number == len(rules) and not matches_all:
            return "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)"
        if number < len(rules) and matches_all:
            return f"Rule #{number} matches every hostname, so that the rules after it will never be triggered"
    return None


def _rule_problem(rule: Any) -> str | None:
    if not isinstance(rule, dict) or not isinstance(rule.get("service"), str) or not rule["service"]:
        return "has no service"
    if not _is_pattern(rule.get("hostname")) or not _is_pattern(rule.get("path"), regular=True):
        return "has a hostname or path that is not a valid pattern"
    return None if isinstance(rule.get("originRequest") or {}, dict) else "has an originRequest that is not an object"


def _is_pattern(value: Any, *, regular: bool = False) -> bool:
    """Return whether a rule's hostname, or its path (a regular expression), is valid; ``None`` matches all."""
    if not isinstance(value, str):
        return value is None
    try:
        return not regular or bool(re.compile(value))
    except re.error:
        return False


def _tunnel(call: Call) -> dict[str, Any]:
    tunnel = call.store.get("tunnel", call.path["tunnel_id"])
    if tunnel is None or tunnel["account_tag"] != call.path["account_id"]:
        raise envelope.failure(404, (1003, "Tunnel not found"))
    return tunnel


def _existing(call: Call) -> dict[str, Any]:
    tunnel = _tunnel(call)
    if tunnel["deleted_at"] is not None:
        raise envelope.failure(404, (1003, "Tunnel not found"))
    return tunnel


def _free_name(call: Call, name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise envelope.failure(400, (1001, "A tunnel needs a name"))
    same = call.store.find("tunnel", owner=call.path["account_id"], name=name)
    if any(tunnel["deleted_at"] is None for tunnel in same):
        raise envelope.failure(409, (1013, "You already have a tunnel with this name"))
    return name


def _check_secret(secret: Any) -> None:
    if secret is None:
        return
    try:
        size = len(base64.b64decode(secret, validate=True)) if isinstance(secret, str) else 0
    except ValueError:
        size = 0
    if size < _SECRET_BYTES:
        raise envelope.failure(400, (1001, "tunnel_secret must be at least 32 bytes, encoded as base64"))


def _save(call: Call, tunnel: dict[str, Any]) -> None:
    call.store.put("tunnel", tunnel["id"], tunnel, owner=tunnel["account_tag"], name=tunnel["name"])
