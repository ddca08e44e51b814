"""Serves ``/releases``: the double's own routes, which replace a deployment to a machine behind a tunnel."""

from aiohttp import web

from factory.errors import Conflict, InvalidInput, NotFound
from factory.local_cloudflare.api import envelope
from factory.local_cloudflare.edge.releases import NAME, Supervisor
from factory.system import loopback

SUPERVISOR: web.AppKey[Supervisor] = web.AppKey("supervisor", Supervisor)
_RELEASE = "/releases/{name}"


def add_routes(app: web.Application) -> None:
    """Add the routes; the application must contain ``SUPERVISOR``."""
    app.router.add_get("/releases", _list)
    app.router.add_get(_RELEASE, _show)
    app.router.add_put(_RELEASE, _put)
    app.router.add_delete(_RELEASE, _delete)


async def _list(request: web.Request) -> web.Response:
    return envelope.page(request.app[SUPERVISOR].listing(), request.query)


async def _show(request: web.Request) -> web.Response:
    try:
        return envelope.success(request.app[SUPERVISOR].show(request.match_info["name"]))
    except NotFound as error:
        raise envelope.failure(404, (404, str(error))) from error


async def _put(request: web.Request) -> web.Response:
    """Store a release: 201 if new, 200 for the same bytes again, 409 for other bytes, 422 if it can't run."""
    supervisor, name = request.app[SUPERVISOR], request.match_info["name"]
    if not NAME.fullmatch(name):
        raise envelope.failure(422, (422, f"a release's name must match ^{NAME.pattern}$"))
    try:
        new = await supervisor.keep(name, await loopback.read(request, loopback.LARGE))
    except InvalidInput as error:
        raise envelope.failure(422, (422, str(error))) from error
    except Conflict as error:
        raise envelope.failure(409, (409, str(error))) from error
    return envelope.success(supervisor.show(name), status=201 if new else 200)


async def _delete(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    try:
        await request.app[SUPERVISOR].remove(name)
    except NotFound as error:
        raise envelope.failure(404, (404, str(error))) from error
    return envelope.success({"name": name})
