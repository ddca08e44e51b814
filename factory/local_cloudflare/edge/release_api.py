"""Serves ``/releases``: the double's own routes, which replace a deployment to a machine behind a tunnel."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from aiohttp import web

from factory.errors import Conflict, InvalidInput, NotFound
from factory.local_cloudflare.api import envelope
from factory.model.release import KeptRelease
from factory.system import loopback


class Releases(Protocol):
    """What runs the releases; the methods may wait, except for ``running`` and ``listing``."""

    def keep(self, name: str, archive: bytes) -> bool:
        """Store and start a release; return ``False`` if it is stored. Raises ``InvalidInput``, ``Conflict``."""
        ...

    def named(self, beginning: str) -> str:
        """Return the name of the release that has this name, or whose commit begins so; raises ``NotFound``."""
        ...

    def running(self, name: str) -> Path | None:
        """Return the unix socket of a release if it runs."""
        ...

    def socket(self, name: str) -> Path:
        """Return the unix socket of a release, which is started if necessary; raises ``NotFound``, ``ToolFailed``."""
        ...

    def again(self, name: str) -> Path:
        """Return the unix socket of a release that did not answer, and start it again if it still does not."""
        ...

    def listing(self) -> list[KeptRelease]:
        """Return every stored release."""
        ...

    def show(self, name: str) -> KeptRelease:
        """Return a stored release; raises ``NotFound``."""
        ...

    def remove(self, name: str) -> None:
        """Stop and delete a release; raises ``NotFound``."""
        ...

    def close(self) -> None:
        """Stop every release."""
        ...


# Makes them in the double's state folder.
Host = Callable[[Path], Releases]
SUPERVISOR: web.AppKey[Releases] = web.AppKey("supervisor", Releases)
_RELEASE = "/releases/{name}"


def add_routes(app: web.Application) -> None:
    """Add the routes; the application must contain ``SUPERVISOR``."""
    app.router.add_get("/releases", _list)
    app.router.add_get(_RELEASE, _show)
    app.router.add_put(_RELEASE, _put)
    app.router.add_delete(_RELEASE, _delete)


async def _list(request: web.Request) -> web.Response:
    return envelope.page([asdict(item) for item in request.app[SUPERVISOR].listing()], request.query)


async def _show(request: web.Request) -> web.Response:
    try:
        return envelope.success(asdict(request.app[SUPERVISOR].show(request.match_info["name"])))
    except NotFound as error:
        raise envelope.failure(404, (404, str(error))) from error


async def _put(request: web.Request) -> web.Response:
    """Store a release: 201 if new, 200 for the same bytes again, 409 for other bytes, 422 if it can't run."""
    supervisor, name = request.app[SUPERVISOR], request.match_info["name"]
    archive = await loopback.read(request, loopback.LARGE)
    try:
        new = await asyncio.to_thread(supervisor.keep, name, archive)
    except InvalidInput as error:
        raise envelope.failure(422, (422, str(error))) from error
    except Conflict as error:
        raise envelope.failure(409, (409, str(error))) from error
    return envelope.success(asdict(supervisor.show(name)), status=201 if new else 200)


async def _delete(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    try:
        await asyncio.to_thread(request.app[SUPERVISOR].remove, name)
    except NotFound as error:
        raise envelope.failure(404, (404, str(error))) from error
    return envelope.success({"name": name})
