"""Git over smart HTTP: authentication, ``git http-backend``, and the hook that protects branches and tags."""

import asyncio
import re
import secrets
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from aiohttp import web

from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.merge_requests import push_options
from factory.local_gitlab.projects import default_branch, projects
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs import protected_branches, protected_tags, push_events, push_rules
from factory.local_gitlab.serving.call import DEVELOPER, GUEST, Call
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import files, process

_CHUNK = 65536
# What a token's scopes allow (docs: Personal access token scopes).
_WRITE_SCOPES = {"api", "write_repository"}
_READ_SCOPES = {*_WRITE_SCOPES, "read_repository"}
# Files of the hook: the package and the file from which each is copied.
_HOOK = {
    "pre-receive": ("factory.local_gitlab.repository", "pre-receive.sh"),
    "push_rule_check.py": ("factory.local_gitlab.refs", "push_rule_check.py"),
}


def install_hook(state: Path) -> None:
    """Write the pre-receive hook of all repositories, and the program with which it checks push rules."""
    for name, (package, source) in _HOOK.items():
        content = resources.files(package).joinpath(source).read_bytes()
        files.write_atomic(state / "hooks" / name, content, mode=0o755)


def routes(context: Context) -> list[web.RouteDef]:
    """Return the routes of git's smart HTTP protocol (git docs: http-protocol)."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _serve(context, request)

    path = "/{path:.+?}.git/{service:info/refs|git-upload-pack|git-receive-pack}"
    return [web.get(path, handle), web.post(path, handle)]


async def _serve(context: Context, request: web.Request) -> web.StreamResponse:
    who = accounts.authenticate(context.store, accounts.token_of(request))
    if who is None:
        return web.Response(
            status=401, text="HTTP Basic: Access denied\n", headers={"WWW-Authenticate": 'Basic realm="GitLab"'}
        )
    token, user = who
    project = projects.find(context, request.match_info["path"])
    role = accounts.role_in(context.store, project, user, token) if project else 0
    if project is None or role < GUEST:
        return web.Response(status=404, text="The project you were looking for could not be found.\n")
    writes = "git-receive-pack" in (request.match_info["service"], request.query.get("service"))
    scoped = token.get("_job") or set(token["scopes"]) & (_WRITE_SCOPES if writes else _READ_SCOPES)
    if not scoped:
        return web.Response(status=403, text="Your token has insufficient scopes for git over HTTP.\n")
    if writes and (role < DEVELOPER or token.get("_job") or project["archived"]):
        return web.Response(status=403, text="You are not allowed to push code with this token.\n")

    receives = request.match_info["service"] == "git-receive-pack"
    repository, branch = context.repository(project), project["default_branch"]
    existed = receives and branch in repository.branches()

    environment = _environment(context, request, project, user, role)

    def received() -> None:
        if not receives:
            return
        with context.store.transaction():
            fresh = context.store.get("project", project["id"])
            if fresh is not None:
                context.store.actor = user["id"]
                if not existed and branch in repository.branches():
                    default_branch.protect(context.store, fresh)
                sync_refs(context, fresh, user)
                made = Call(context, {}, {}, b"", user, role, token, fresh)
                push_options.apply(made, push_events.accepted(repository.path, environment["GL_PUSH"]))

    return await _backend(context, request, environment, received)


def _environment(
    context: Context, request: web.Request, project: Document, user: Document, role: int
) -> dict[str, str]:
    return {
        **context.tool_env,
        "GIT_PROJECT_ROOT": str(context.state / "repositories"),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{project['id']}.git/{request.match_info['service']}",
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": user["username"],
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(context.state / "hooks"),
        "GIT_CONFIG_KEY_1": "receive.advertisePushOptions",
        "GIT_CONFIG_VALUE_1": "true",
        "GL_PUSH": f"{user['id']}.{secrets.token_hex(8)}",
        "GL_ROLE": str(role),
        "GL_RULES": protected_branches.for_hook(context.store, project, user, role),
        "GL_TAG_RULES": protected_tags.for_hook(context.store, project, user, role),
        "GL_DEFAULT_BRANCH": project["default_branch"],
        "GL_PUSH_RULE": push_rules.for_hook(context, project),
        "GL_PUSH_RULE_CHECK": str(context.state / "hooks/push_rule_check.py"),
        "GL_PYTHON": process.python(),
    }


async def _backend(
    context: Context, request: web.Request, env: dict[str, str], received: Callable[[], None]
) -> web.StreamResponse:
    """Stream the request through ``git http-backend``; ``received`` runs before the response ends."""
    group = await process.start_async(["git", "http-backend"], env=env, cwd=context.state)
    stdin, stdout = group.process.stdin, group.process.stdout
    assert stdin is not None  # noqa: S101 - start_async pipes both
    assert stdout is not None  # noqa: S101

    async def feed() -> None:
        try:
            async for chunk in request.content.iter_chunked(_CHUNK):
                stdin.write(chunk)
                await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            stdin.close()

    feeding = asyncio.create_task(feed())
    try:
        status, headers = await _read_head(stdout)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        while chunk := await stdout.read(_CHUNK):
            await response.write(chunk)
        await group.process.wait()
        received()
        await response.write_eof()
        return response
    finally:
        feeding.cancel()
        await group.kill()


async def _read_head(stdout: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Return the status and headers of a CGI program's output (RFC 3875 §6.3)."""
    status, headers = 200, {}
    while line := (await stdout.readline()).decode().rstrip("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(re.split(r"\s", value, maxsplit=1)[0])
        else:
            headers[name] = value
    return status, headers
