"""Turns an aiohttp request into a ``Call`` for the API's functions, inside a transaction."""

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from factory.local_cloudflare.api import envelope
from factory.local_cloudflare.store import Store
from factory.system import loopback

STORE: web.AppKey[Store] = web.AppKey("store", Store)
# The key of a request's account token.
TOKEN = "local_cloudflare.token"  # noqa: S105 - the name of a key
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Call:
    """Path parameters, query and JSON body of one request, and the store in a transaction.

    ``token`` is the account token of the request, or ``None`` for a token of the double's configuration.
    """

    store: Store
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    token: Mapping[str, Any] | None = None


def transactional(function: Callable[[Call], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return an aiohttp handler that runs ``function`` in a transaction, which is rolled back if it raises."""

    async def handle(request: web.Request) -> web.Response:
        body = await _json_body(request) if request.method in _WITH_BODY else {}
        store = request.app[STORE]
        with store.transaction():
            return function(Call(store, request.match_info, request.query, body, request.get(TOKEN)))

    return handle


def new_id() -> str:
    """Return an identifier in Cloudflare's format: 32 hexadecimal characters."""
    return uuid.uuid4().hex


async def _json_body(request: web.Request) -> Mapping[str, Any]:
    try:
        value = json.loads(await loopback.read(request), parse_constant=_refuse_constant)
        json.dumps(
            value, ensure_ascii=False
        ).encode()  # rejects a lone surrogate, which is valid JSON but not valid text
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise envelope.failure(400, (6007, "Malformed JSON in request body"))
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
