"""Builds the server's aiohttp application: routes, authentication, errors, log lines."""

import inspect
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from factory import __version__
from factory.errors import DiskFull, FactoryError
from factory.local_gitlab.accounts import accounts, members, namespaces, shares
from factory.local_gitlab.ci import (
    environments,
    jobs,
    lint,
    oidc,
    pipelines,
    protected_environments,
    resource_groups,
    schedules,
    statuses,
    terraform_state,
)
from factory.local_gitlab.issues import discussions, issue_links, issues
from factory.local_gitlab.merge_requests import approvals, merge_requests, merging
from factory.local_gitlab.projects import (
    application_settings,
    approval_rules,
    archive,
    ci_variables,
    job_token_scope,
    labels,
    milestones,
    projects,
    service_accounts,
    templates,
)
from factory.local_gitlab.refs import protected_branches, protected_tags, push_events, push_rules
from factory.local_gitlab.releases import links, packages, releases, tags
from factory.local_gitlab.repository import git_http, repository
from factory.local_gitlab.runner import api as runner_api
from factory.local_gitlab.runner import registration
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import http, list_parameters
from factory.local_gitlab.serving.call import ADMIN, NO_ROLE, PUBLIC, Call, Route
from factory.local_gitlab.serving.context import VERSION, Context
from factory.local_gitlab.serving.store import Document
from factory.local_gitlab.webhooks import deliveries, project_hooks
from factory.system import log, loopback

LABEL = "local_gitlab (a loopback double of GitLab, not GitLab)"
_JOB_TOKEN_MAY = ("/terraform/state/", "/artifacts", "/releases", "/trace", "/packages")


def _version(call: Call) -> object:
    return {"version": VERSION, "revision": __version__, "enterprise": call.context.tier != "free"}


def _metadata(call: Call) -> object:
    kas = {"enabled": False, "externalUrl": None, "version": None}
    return {"version": VERSION, "revision": __version__, "kas": kas, "enterprise": call.context.tier != "free"}


ROUTES: tuple[Route, ...] = (
    Route("GET", "/version", _version, PUBLIC),
    Route("GET", "/metadata", _metadata, PUBLIC),
    *accounts.ROUTES,
    *members.ROUTES,
    *shares.ROUTES,
    *namespaces.ROUTES,
    *service_accounts.ROUTES,
    *projects.ROUTES,
    *archive.ROUTES,
    *labels.ROUTES,
    *ci_variables.ROUTES,
    *project_hooks.ROUTES,
    *deliveries.ROUTES,
    *application_settings.ROUTES,
    *job_token_scope.ROUTES,
    *issues.ROUTES,
    *issue_links.ROUTES,
    *milestones.ROUTES,
    *discussions.ROUTES,
    *repository.ROUTES,
    *push_events.ROUTES,
    *protected_branches.ROUTES,
    *tags.ROUTES,
    *templates.ROUTES,
    *protected_tags.ROUTES,
    *push_rules.ROUTES,
    *releases.ROUTES,
    *links.ROUTES,
    *statuses.ROUTES,
    *merge_requests.ROUTES,
    *merging.ROUTES,
    *approvals.ROUTES,
    *approval_rules.ROUTES,
    *pipelines.ROUTES,
    *schedules.ROUTES,
    *jobs.ROUTES,
    *resource_groups.ROUTES,
    *environments.ROUTES,
    *protected_environments.ROUTES,
    *terraform_state.ROUTES,
    *packages.ROUTES,
    *lint.ROUTES,
    *registration.ROUTES,
)


def create(context: Context) -> web.Application:
    """Return the application for ``context``."""
    app = web.Application(client_max_size=loopback.LARGE, middlewares=[loopback.own_address, _guard])
    app.router.add_routes(runner_api.routes(context))
    app.router.add_routes(oidc.routes(context))
    for route in ROUTES:
        app.router.add_route(route.method, "/api/v4" + route.path, _handler(context, route))
        if route.method == "GET":
            app.router.add_route("HEAD", "/api/v4" + route.path, _handler(context, route))
    for path in ("/-/health", "/-/readiness", "/-/liveness"):
        app.router.add_get(path, _health)
    app.router.add_get("/", _front_page)
    app.router.add_routes(git_http.routes(context))
    return app


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _front_page(_: web.Request) -> web.Response:
    return web.Response(text=f"{LABEL}\nThe API is under /api/v4.\n")


def _handler(context: Context, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        # Before the body is read: who may not call the route can't make the server parse anything.
        _call(context, route, request, {}, b"")
        params, body = await http.parameters(request, route.largest, route.files)
        with context.store.transaction():
            call = _call(context, route, request, params, body)
            context.store.actor = call.user["id"]
            if route.method == "GET":
                list_parameters.refuse(call, route.path)
            result = route.handler(call)
        if inspect.isawaitable(result):
            result = await result
        return http.render(request, result)

    return handle


def _job_token_may(route: Route) -> bool:
    if "/repository/" in route.path:
        return route.method == "GET"
    return route.path == "/job" or any(part in route.path for part in _JOB_TOKEN_MAY)


def _scope_lets(scopes: list[str], route: Route) -> bool:
    """Return whether a token's scopes allow a route (docs: Personal access token scopes)."""
    if "api" in scopes or route.path == "/personal_access_tokens/self":
        return True
    return "read_api" in scopes and route.method == "GET"


def _call(context: Context, route: Route, request: web.Request, params: dict[str, object], body: bytes) -> Call:
    who = accounts.authenticate(context.store, accounts.token_of(request))
    if who is None:
        raise api.unauthorized()
    token, user = who
    user = _sudo(context, request, user)
    path = dict(request.match_info)
    if token.get("_job") and not _job_token_may(route):
        raise api.not_found()
    if not token.get("_job") and not _scope_lets(token["scopes"], route):
        raise api.forbidden("insufficient_scope")
    if "id" not in path or route.role == PUBLIC:
        return Call(context, path, params, body, user, ADMIN if user["is_admin"] else NO_ROLE, token)
    project = projects.find(context, path["id"])
    role = accounts.role_in(context.store, project, user, token) if project else NO_ROLE
    if project is None or role == NO_ROLE:
        raise api.not_found("Project")
    if role < route.role:
        raise api.forbidden()
    archive.refuse_writes(project, route)
    return Call(context, path, params, body, user, role, token, project)


def _sudo(context: Context, request: web.Request, user: Document) -> Document:
    """Return the user for whom an administrator acts (docs: REST API, Sudo), else the user; raises 403 or 404."""
    name = request.headers.get("Sudo") or request.query.get("sudo")
    if not name:
        return user
    if not user["is_admin"]:
        raise api.forbidden("Must be admin to use sudo")
    found = context.store.get("user", int(name)) if api.is_id(name) else context.store.find("user", name)
    return api.require(found, f"User with ID or username '{name}'")


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown routes with GitLab's 404 and a log line, and ``FactoryError`` with one line of JSON."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status, text=error.text, content_type=error.content_type)
        if request.match_info.http_exception is not None and error.status in {404, 405}:
            log.event("no such route", method=request.method, path=request.path)
            response = web.json_response({"error": "404 Not Found"}, status=404)
    except FactoryError as error:
        status = 507 if isinstance(error, DiskFull) else 500
        log.event("request failed", method=request.method, path=request.path, reason=str(error))
        response = web.json_response({"message": f"{status} {error}"}, status=status)
    response.headers.setdefault("X-Local-Gitlab", "double")
    return response


def routes_served() -> Iterable[tuple[str, str]]:
    """Return method and path template of all API routes, for the contract test."""
    return [(route.method, "/api/v4" + route.path) for route in ROUTES]
