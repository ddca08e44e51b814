"""The routes of Cloudflare's API v4 that Terraform provider v5 uses for zones, DNS records and tunnels."""

import hashlib
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from factory.errors import FactoryError
from factory.local_cloudflare import envelope, tunnels, zones
from factory.local_cloudflare.call import transactional
from factory.local_cloudflare.tokens import Scope, scope_of
from factory.system import log

TOKENS: web.AppKey[Mapping[str, Scope]] = web.AppKey("tokens", Mapping[str, Scope])

_BASE = "/client/v4"
_VERIFY = f"{_BASE}/user/tokens/verify"
_ZONE = _BASE + "/zones/{zone_id:[0-9a-f]{32}}"
_RECORD = _ZONE + "/dns_records/{dns_record_id:[0-9a-f]{32}}"
_TUNNELS = _BASE + "/accounts/{account_id:[0-9a-f]{32}}/cfd_tunnel"
_TUNNEL = _TUNNELS + "/{tunnel_id:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}}"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

_ROUTES = (
    ("GET", f"{_BASE}/zones", zones.list_zones),
    ("POST", f"{_BASE}/zones", zones.create_zone),
    ("GET", _ZONE, zones.get_zone),
    ("PATCH", _ZONE, zones.edit_zone),
    ("DELETE", _ZONE, zones.delete_zone),
    ("GET", f"{_ZONE}/dns_records", zones.list_records),
    ("POST", f"{_ZONE}/dns_records", zones.create_record),
    ("GET", _RECORD, zones.get_record),
    ("PUT", _RECORD, zones.overwrite_record),
    ("PATCH", _RECORD, zones.edit_record),
    ("DELETE", _RECORD, zones.delete_record),
    ("GET", _TUNNELS, tunnels.list_tunnels),
    ("POST", _TUNNELS, tunnels.create_tunnel),
    ("GET", _TUNNEL, tunnels.get_tunnel),
    ("PATCH", _TUNNEL, tunnels.edit_tunnel),
    ("DELETE", _TUNNEL, tunnels.delete_tunnel),
    ("GET", f"{_TUNNEL}/configurations", tunnels.get_configuration),
    ("PUT", f"{_TUNNEL}/configurations", tunnels.put_configuration),
)


def add_routes(app: web.Application) -> None:
    """Add the API's routes; the application holds ``TOKENS`` and the store."""
    for method, path, function in _ROUTES:
        app.router.add_route(method, path, transactional(function))
    app.router.add_get(_VERIFY, _verify_token)


def add_fallback(app: web.Application) -> None:
    """Answer every route that is not there as Cloudflare does; must be added after all others."""
    app.router.add_route("*", "/{path:.*}", _unknown_route)


@web.middleware
async def authorised(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through whose bearer token may do what its method does, and report our errors in the envelope."""
    authorization = request.headers.get("Authorization")
    scope = scope_of(authorization, request.app[TOKENS])
    if scope is None and request.path == _VERIFY:
        raise envelope.failure(401, (1000, "Invalid API Token"))
    if scope is None:
        raise envelope.failure(401 if authorization is None else 403, (10000, "Authentication error"))
    if scope != "write" and request.method not in _READING:
        raise envelope.failure(403, (10000, "Authentication error"))
    try:
        return await handler(request)
    except FactoryError as error:
        log.event("local_cloudflare.error", path=request.path, error=str(error))
        raise envelope.failure(500, (10001, str(error))) from error


async def _verify_token(request: web.Request) -> web.Response:
    token = hashlib.sha256(request.headers["Authorization"].encode()).hexdigest()[:32]
    message = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return envelope.success({"id": token, "status": "active"}, messages=[message])


async def _unknown_route(request: web.Request) -> web.Response:
    log.event("local_cloudflare.unknown_route", method=request.method, path=request.path)
    raise envelope.failure(
        404,
        (7003, f"Could not route to {request.path}, perhaps your object identifier is invalid?"),
        (7000, "No route for that URI"),
    )
