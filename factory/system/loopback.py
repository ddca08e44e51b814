"""Serves HTTP on loopback, and refuses what another machine's name, a web page or an endless body would bring.

A page in the person's browser can send requests to 127.0.0.1, also under a name of its own that resolves to it. So a
server answers only if ``Host`` is its own address and ``Origin``, where a browser sends one, is its own too.
"""

import asyncio
import errno
import re
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDictProxy

from factory.errors import MachineError, PortInUse

HOST = "127.0.0.1"
_NAMES, _PORT = (HOST, "localhost"), re.compile(r":\d{1,5}$")
SMALL, LARGE = 4 * 2**20, 128 * 2**20
# Seconds until a connection without a whole request, or a body that does not arrive, is given up.
_IDLE, _PATIENCE, _LARGE_PATIENCE = 60.0, 30.0, 300.0
_CHUNK = 256 * 1024


def runner(app: web.Application, *, shutdown_seconds: float = 1.0) -> web.AppRunner:
    """Return the runner of an application: no access log, idle and half-open connections end after a minute."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_seconds, keepalive_timeout=_IDLE)


async def listen(started: web.AppRunner, port: int) -> int:
    """Listen on a port of 127.0.0.1, 0 for a free one; return the port. Raises ``PortInUse`` or ``MachineError``."""
    try:
        await web.TCPSite(started, HOST, port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(f"port {port} on {HOST} is in use") from error
        raise MachineError(f"cannot listen on port {port}: {error.strerror}") from error
    bound: int = started.addresses[0][1]
    return bound


@web.middleware
async def own_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 421 to a foreign ``Host`` (RFC 9110 section 15.5.20) and 403 to a foreign ``Origin``.

    The port of ``Host`` may be another, as behind a tunnel; a page cannot choose the name.
    """
    transport = request.transport
    port = transport.get_extra_info("sockname")[1] if transport else 0
    own = {f"{name}:{port}" for name in _NAMES}
    if _PORT.sub("", request.host) not in _NAMES:
        return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST, text="this server answers for its own address only")
    origin = request.headers.get("Origin")
    if origin is not None and origin.removeprefix("http://") not in own:
        return web.Response(status=HTTPStatus.FORBIDDEN, text="this server answers no other origin's pages")
    return await handler(request)


async def read(request: web.Request, most: int = SMALL) -> bytes:
    """Return a request's body; raises aiohttp's 413 above ``most`` bytes, and 408 if it does not arrive in time."""
    if (request.content_length or 0) > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length or 0)
    body = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE if most <= SMALL else _LARGE_PATIENCE):
            async for chunk in request.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > most:
                    raise web.HTTPRequestEntityTooLarge(most, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)


async def read_form(request: web.Request, most: int = SMALL) -> MultiDictProxy[str | bytes | bytearray | web.FileField]:
    """Return a multipart body's fields, files of which are on disk until the request ends.

    Raises as ``read``, 411 for a body that does not say its length, and ``ValueError`` for one that is not multipart.
    """
    if request.content_length is None:
        raise web.HTTPLengthRequired
    if request.content_length > most:
        raise web.HTTPRequestEntityTooLarge(most, request.content_length)
    try:
        async with asyncio.timeout(_PATIENCE if most <= SMALL else _LARGE_PATIENCE):
            return await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
