"""Starts and stops the loopback Cloudflare: the API on one port, the edge on another."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from factory.errors import InvalidInput
from factory.local_cloudflare.api import app as api
from factory.local_cloudflare.api.call import STORE
from factory.local_cloudflare.edge import proxy
from factory.local_cloudflare.store import Store
from factory.local_cloudflare.tokens import Scope, refuse_foreign
from factory.system import files, log, loopback

HOST = loopback.HOST
MARK = ("X-Local-Cloudflare", "double")


@dataclass(frozen=True)
class Endpoints:
    """The ports that a running double listens on, and its base URLs."""

    api_port: int
    edge_port: int

    @property
    def api_url(self) -> str:
        """The value for ``CLOUDFLARE_BASE_URL``."""
        return f"http://{HOST}:{self.api_port}/client/v4"


def create_app(state: Path, tokens: Mapping[str, Scope], *, sockets: Path) -> web.Application:
    """Return the application for the API, with its state in the folder ``state``.

    ``tokens`` maps each token to its scope; ``sockets`` is the folder of the hosts' sockets, to which the edge leads.
    Raises ``Refused`` if a token is not of the double, ``MachineError`` if the state can't be opened, and, on start,
    ``Conflict`` if another server uses the state.
    """
    for token in tokens:
        refuse_foreign(token)
    app = web.Application(middlewares=[loopback.own_address, api.authorised])
    app[api.TOKENS] = dict(tokens)
    app[STORE] = Store(state / "cloudflare.sqlite3")
    app[proxy.SOCKETS] = sockets

    async def hold(app: web.Application) -> AsyncIterator[None]:
        try:
            with files.locked(state / "lock", wait=False):
                yield
        finally:
            app[STORE].close()

    app.cleanup_ctx.append(hold)
    app.on_response_prepare.append(_mark)
    api.add_routes(app)
    api.add_fallback(app)
    return app


def create_edge(app: web.Application) -> web.Application:
    """Return the edge's application; it shares the store of ``app``, which must outlive it."""
    front = web.Application()
    front[STORE] = app[STORE]
    front[proxy.SOCKETS] = app[proxy.SOCKETS]
    front.on_response_prepare.append(_mark)
    proxy.add_routes(front)
    return front


@asynccontextmanager
async def serve(app: web.Application, *, api_port: int, edge_port: int, host: str = HOST) -> AsyncIterator[Endpoints]:
    """Listen during the block, then close the state; port 0 selects a free port.

    Raises ``PortInUse``, ``Conflict`` if another server uses the state, ``InvalidInput`` for a host other than
    loopback.
    """
    if host != HOST:
        raise InvalidInput(f"the loopback Cloudflare listens on {HOST} only, not on {host}")
    runners = [loopback.runner(each) for each in (app, create_edge(app))]
    try:
        ports = []
        for runner, port in zip(runners, (api_port, edge_port), strict=True):
            await runner.setup()
            ports.append(await loopback.listen(runner, port))
        log.event("local_cloudflare.listening", api_port=ports[0], edge_port=ports[1])
        yield Endpoints(*ports)
    finally:
        for runner in reversed(runners):
            await runner.cleanup()


async def _mark(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[MARK[0]] = MARK[1]
    response.headers["Server"] = "local-cloudflare"
