"""Runs the edge: a reverse proxy on loopback that routes by ``Host``, using DNS records and tunnels.

A tunnel leads to the sockets of a host on this machine, which a connector would find below ``/run/factory``.

It blocks requests that a zone's rulesets block. It ignores the zone's settings, because loopback has no TLS.
"""

import html
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from factory.local_cloudflare.api.call import STORE
from factory.local_cloudflare.api.expressions import RequestFields
from factory.local_cloudflare.edge.firewall import Firewall
from factory.local_cloudflare.edge.routes import Answer, Loopback, Socket, route
from factory.system import clock, log

# The folder of the hosts' sockets, with a folder for each environment.
SOCKETS: web.AppKey[Path] = web.AppKey("sockets", Path)
# A session for each unix socket, and one for ports (``None``).
_SESSIONS: web.AppKey["dict[Path | None, aiohttp.ClientSession]"] = web.AppKey("sessions", dict)
_FIREWALL: web.AppKey[Firewall] = web.AppKey("firewall", Firewall)
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_AS_SENT = "local_cloudflare.content_type_as_sent"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=100.0)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

# RFC 9110 section 7.6.1 and Cloudflare's codes: 502 bad gateway, 504 gateway time-out.
_BAD_GATEWAY, _GATEWAY_TIMEOUT = 502, 504

_PAGE = """<!doctype html>
<title>{title}</title>
<h1>{title}</h1>
<p>{reason}</p>
<hr>
<p>This is a loopback double of Cloudflare's edge, not Cloudflare. Ray ID: {ray}</p>
"""


def add_routes(app: web.Application) -> None:
    """Route every request through the edge; the application must contain the store and ``SOCKETS``."""
    app[_FIREWALL] = Firewall()
    app.cleanup_ctx.append(_sessions)
    app.on_response_prepare.append(_keep_untyped)
    app.router.add_route("*", "/{path:.*}", _forward)


async def _sessions(app: web.Application) -> AsyncIterator[None]:
    app[_SESSIONS] = {}
    yield
    for session in app[_SESSIONS].values():
        await session.close()


def _session(app: web.Application, path: Path | None) -> aiohttp.ClientSession:
    """Return the session to a unix socket, or to ports."""
    sessions = app[_SESSIONS]
    if path not in sessions:
        # Each request has its own connection. That costs less than the 40 ms of delayed acknowledgement on a reused
        # connection when a release writes head and body separately, and no connection outlives its release.
        sessions[path] = aiohttp.ClientSession(
            timeout=_TIMEOUT,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NOT_ADDED,
            connector=(
                aiohttp.UnixConnector(str(path), limit=0, force_close=True)
                if path
                else aiohttp.TCPConnector(limit=0, force_close=True)
            ),
        )
    return sessions[path]


async def _keep_untyped(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove the ``Content-Type`` that aiohttp adds if the origin sent none."""
    if response.get(_AS_SENT) is False:
        response.headers.popall("Content-Type", None)


async def _forward(request: web.Request) -> web.StreamResponse:
    ray = f"{secrets.token_hex(8)}-LOC"
    found = _refusal(request) or route(request.app[STORE], _host(request), request.path)
    try:
        match found:
            case Answer():
                return _error(found, ray)
            case Socket():
                return await _proxy(request, Loopback("localhost", 80), ray, request.app[SOCKETS] / found.path)
            case Loopback():
                return await _proxy(request, found, ray)
    except TimeoutError:
        return _error(Answer(_GATEWAY_TIMEOUT, "the service did not answer in time"), ray)
    except aiohttp.ClientError as error:
        return _error(Answer(_BAD_GATEWAY, f"the service did not answer: {type(error).__name__}"), ray)


def _refusal(request: web.Request) -> Answer | None:
    fields = RequestFields(_host(request), request.path)
    client = request.remote or "127.0.0.1"
    return request.app[_FIREWALL].refusal(request.app[STORE], fields, client, clock.monotonic())


async def _proxy(request: web.Request, origin: Loopback, ray: str, path: Path | None = None) -> web.StreamResponse:
    """Forward the request to a port, or to a unix socket, and stream the answer back.

    Raises aiohttp's errors if no answer has begun.
    """
    # Built from parts, because a joined URL with a path that begins with // would name another host.
    target = URL.build(
        scheme="http",
        authority=f"{origin.host}:{origin.port}",
        path=request.rel_url.raw_path,
        query_string=request.rel_url.raw_query_string,
        encoded=True,
    )
    async with _session(request.app, path).request(
        request.method,
        target,
        headers=_to_origin(request, ray),
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
    ) as answer:
        return await _stream(request, answer, ray)


async def _stream(request: web.Request, answer: aiohttp.ClientResponse, ray: str) -> web.StreamResponse:
    headers = _end_to_end(answer.headers)
    headers["CF-Ray"] = ray
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    response[_AS_SENT] = "Content-Type" in headers
    await response.prepare(request)
    try:
        async for block in answer.content.iter_any():
            await response.write(block)
    except (aiohttp.ClientError, TimeoutError) as error:
        # The status line is already sent, so only a broken connection tells the client that the body is incomplete.
        log.event("local_cloudflare.stream_broken", ray=ray, error=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _to_origin(request: web.Request, ray: str) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    headers.popall("Expect", None)  # aiohttp has answered it already
    client = request.remote or "127.0.0.1"
    headers["CF-Connecting-IP"] = client
    headers["CF-Ray"] = ray
    headers["X-Forwarded-For"] = ", ".join([*request.headers.getall("X-Forwarded-For", []), client])
    headers["X-Forwarded-Proto"] = "http"
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    return CIMultiDict(_without(headers.items(), _HOP_BY_HOP | named))


def _without(items: Iterable[tuple[str, str]], names: frozenset[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in items if name.lower() not in names]


def _host(request: web.Request) -> str:
    return request.host.partition(":")[0].lower().rstrip(".")


def _error(answer: Answer, ray: str) -> web.Response:
    title = f"Error {answer.code}" if answer.code else f"Error {answer.status}"
    text = _PAGE.format(title=title, reason=html.escape(answer.reason), ray=ray)
    headers = {"CF-Ray": ray} | ({} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)})
    return web.Response(status=answer.status, text=text, content_type="text/html", headers=headers)
