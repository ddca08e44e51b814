"""Defines the double's routes of Cloudflare's API v4, as Terraform provider v5 uses them, and checks tokens."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from factory.errors import FactoryError
from factory.local_cloudflare.api import account_tokens, envelope, permissions, rulesets, settings, tunnels, zones
from factory.local_cloudflare.api.call import STORE, TOKEN, transactional
from factory.local_cloudflare.tokens import Scope, bearer
from factory.system import clock, log

TOKENS: web.AppKey[Mapping[str, Scope]] = web.AppKey("tokens", Mapping[str, Scope])

_BASE = "/client/v4"
_VERIFY = re.compile(_BASE + r"/(?:user|accounts/([0-9a-f]{32}))/tokens/verify")
_ZONE = _BASE + "/zones/{zone_id:[0-9a-f]{32}}"
_RECORD = _ZONE + "/dns_records/{dns_record_id:[0-9a-f]{32}}"
_SETTINGS = f"{_ZONE}/settings"
_RULESETS = f"{_ZONE}/rulesets"
_RULESET = _RULESETS + "/{ruleset_id:[0-9a-f]{32}}"
_ACCOUNT = _BASE + "/accounts/{account_id:[0-9a-f]{32}}"
_TOKENS = f"{_ACCOUNT}/tokens"
_TOKEN = _TOKENS + "/{token_id:[0-9a-f]{32}}"
_TUNNELS = f"{_ACCOUNT}/cfd_tunnel"
_TUNNEL = _TUNNELS + "/{tunnel_id:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}}"

_ROUTES = (
    ("GET", f"{_BASE}/zones", zones.list_zones),
    ("POST", f"{_BASE}/zones", zones.create_zone),
    ("GET", _ZONE, zones.get_zone),
    ("PATCH", _ZONE, zones.edit_zone),
    ("DELETE", _ZONE, zones.delete_zone),
    ("POST", f"{_ZONE}/subscription", zones.subscribe),
    ("PUT", f"{_ZONE}/subscription", zones.subscribe),
    ("GET", f"{_ZONE}/dns_records", zones.list_records),
    ("POST", f"{_ZONE}/dns_records", zones.create_record),
    ("GET", _RECORD, zones.get_record),
    ("PUT", _RECORD, zones.overwrite_record),
    ("PATCH", _RECORD, zones.edit_record),
    ("DELETE", _RECORD, zones.delete_record),
    ("GET", _SETTINGS, settings.list_settings),
    ("GET", f"{_SETTINGS}/{{setting_id}}", settings.get_setting),
    ("PATCH", f"{_SETTINGS}/{{setting_id}}", settings.edit_setting),
    ("GET", _RULESETS, rulesets.list_rulesets),
    ("POST", _RULESETS, rulesets.create_ruleset),
    ("GET", f"{_RULESETS}/phases/{{phase}}/entrypoint", rulesets.get_entrypoint),
    ("GET", _RULESET, rulesets.get_ruleset),
    ("PUT", _RULESET, rulesets.update_ruleset),
    ("DELETE", _RULESET, rulesets.delete_ruleset),
    ("GET", _TOKENS, account_tokens.list_tokens),
    ("POST", _TOKENS, account_tokens.create_token),
    ("GET", f"{_TOKENS}/permission_groups", account_tokens.list_groups),
    ("GET", _TOKEN, account_tokens.get_token),
    ("PUT", _TOKEN, account_tokens.update_token),
    ("DELETE", _TOKEN, account_tokens.delete_token),
    ("GET", _TUNNELS, tunnels.list_tunnels),
    ("POST", _TUNNELS, tunnels.create_tunnel),
    ("GET", _TUNNEL, tunnels.get_tunnel),
    ("PATCH", _TUNNEL, tunnels.edit_tunnel),
    ("DELETE", _TUNNEL, tunnels.delete_tunnel),
    ("GET", f"{_TUNNEL}/configurations", tunnels.get_configuration),
    ("PUT", f"{_TUNNEL}/configurations", tunnels.put_configuration),
)


def add_routes(app: web.Application) -> None:
    """Add the API's routes; the application must contain ``TOKENS`` and the store."""
    for method, path, function in _ROUTES:
        app.router.add_route(method, path, transactional(function))


def add_fallback(app: web.Application) -> None:
    """Add the fallback that answers unknown routes as Cloudflare does; it must be added last."""
    app.router.add_route("*", "/{path:.*}", _unknown_route)


@web.middleware
async def authorised(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check that the bearer token allows the request, and return a ``FactoryError`` in the envelope.

    A token of the double's configuration reads or writes everything. A token that was created through the API allows
    what its policies allow, while it is active.
    """
    value = bearer(request.headers.get("Authorization"))
    scope = request.app[TOKENS].get(value or "")
    created = account_tokens.by_value(request.app[STORE], value) if value and scope is None else None
    verify = _VERIFY.fullmatch(request.path) if request.method == "GET" else None
    if verify:
        return _verified(value, created if verify[1] in {None, (created or {}).get("account")} else None, scope)
    if scope is None and created is None:
        raise envelope.failure(401 if value is None else 403, (10000, "Authentication error"))
    if not (_may(request, created) if created else scope == "write" or request.method in permissions.READING):
        raise envelope.failure(403, (10000, "Authentication error"))
    request[TOKEN] = created
    try:
        return await handler(request)
    except FactoryError as error:
        log.event("local_cloudflare.error", path=request.path, error=str(error))
        raise envelope.failure(500, (10001, str(error))) from error


def _may(request: web.Request, token: Mapping[str, Any]) -> bool:
    want = permissions.wanted(request.method, request.path)
    if want is None or account_tokens.status(token, clock.now()) != "active":
        return False
    if (request.method, request.path) == ("GET", f"{_BASE}/zones"):
        return account_tokens.from_here(token, request.remote or "127.0.0.1")
    zone = request.app[STORE].get("zone", want.zone) if want.zone else None
    owner = zone["account"]["id"] if zone else ""
    return permissions.allowed(token["policies"], want, owner) and account_tokens.from_here(
        token, request.remote or "127.0.0.1"
    )


def _verified(value: str | None, created: Mapping[str, Any] | None, scope: Scope | None) -> web.Response:
    """Return whether a token is active or expired; the user route also answers for account tokens."""
    state = account_tokens.status(created, clock.now()) if created else "active"
    if value is None or (scope is None and created is None) or state == "disabled":
        raise envelope.failure(401, (1000, "Invalid API Token"))
    text = "This API Token is valid and active" if state == "active" else f"This API Token is {state}"
    expiry = {"expires_on": created["expires_on"]} if created and created.get("expires_on") else {}
    key = created["id"] if created else hashlib.sha256(value.encode()).hexdigest()[:32]
    message = {"code": 10000, "message": text, "type": None}
    return envelope.success({"id": key, "status": state, **expiry}, messages=[message])


async def _unknown_route(request: web.Request) -> web.Response:
    log.event("local_cloudflare.unknown_route", method=request.method, path=request.path)
    raise envelope.failure(
        404,
        (7003, f"Could not route to {request.path}, perhaps your object identifier is invalid?"),
        (7000, "No route for that URI"),
    )
