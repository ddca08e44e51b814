"""Runs the stub's HTTP server: it implements three APIs, stores no conversation, and records the requests."""

import asyncio
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from aiohttp import web

from factory.local_model import chat, messages, responses, script
from factory.local_model.conversation import Conversation, tool_call
from factory.system import loopback

MARK = ("X-Local-Model", "stub")
MODEL = "stub"
ABSENT = "absent"
# What the service of a plan tells of its windows with each answer, by the names that Codex reads.
_PLAN_PATH = "/backend-api/"
_PLAN_HEADERS = {
    "x-codex-primary-used-percent": "62",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-after-seconds": "7800",
}
_SECRET = ("authorization", "x-api-key")

_REMEMBERED = 500
_START_SECONDS = 10.0
_APIS: dict[str, ModuleType] = {"/responses": responses, "/messages": messages, "/chat/completions": chat}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
}
_ERROR_TYPES |= {429: "rate_limit_error", 529: "overloaded_error"}

ScriptFor = Callable[[str], Sequence[script.Step]]


@dataclass(frozen=True)
class Request:
    """A recorded request; ``credential`` is a fingerprint, or ``absent``; ``headers`` (lower case) are the others.

    ``tools`` are the names of the offered tools, ``results`` is the number of tool results since the last prompt,
    ``usage`` the reported usage of the answer, ``body`` the unchanged JSON.
    """

    method: str
    path: str
    credential: str
    model: str = ""
    prompt: str = ""
    results: int = 0
    tools: tuple[str, ...] = ()
    usage: script.Usage | None = None
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Server:
    """A running stub: ``url`` is without ``/v1``; ``requests`` has the most recent requests."""

    url: str
    requests: deque[Request]

    @property
    def asked(self) -> list[Request]:
        """Return the requests that the model answered, without the agent's side work, which offers no tools."""
        return [request for request in self.requests if request.tools and request.usage]


@contextmanager
def running(script_for: ScriptFor, *, port: int = 0) -> Iterator[Server]:
    """Serve on loopback in a separate thread during the block; ``script_for`` returns the script for a prompt.

    Raises ``PortInUse``, or ``MachineError`` if the server can't listen on the port.
    """
    requests: deque[Request] = deque(maxlen=_REMEMBERED)
    loop = asyncio.new_event_loop()
    runner = loopback.runner(create_app(script_for, requests), shutdown_seconds=0.1)
    thread = threading.Thread(target=loop.run_forever, name="local-model", daemon=True)
    thread.start()
    try:
        bound = asyncio.run_coroutine_threadsafe(_listening(runner, port), loop).result(_START_SECONDS)
        yield Server(f"http://{loopback.HOST}:{bound}", requests)
    finally:
        asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(_START_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def create_app(script_for: ScriptFor, requests: deque[Request]) -> web.Application:
    """Return the application, which appends each request to ``requests``."""
    app = web.Application(middlewares=[loopback.own_address])

    async def handle(request: web.Request) -> web.StreamResponse:
        return await _Exchange(request, script_for, requests).answer()

    app.router.add_route("*", "/{path:.*}", handle)
    app.on_response_prepare.append(_mark)
    return app


class _Exchange:
    """One request and its answer."""

    def __init__(self, request: web.Request, script_for: ScriptFor, requests: deque[Request]) -> None:
        self._request = request
        self._script_for = script_for
        self._requests = requests

    async def answer(self) -> web.StreamResponse:
        path = self._request.path
        api = next((api for end, api in _APIS.items() if path.endswith(end)), None)
        if self._request.method != "POST" or (api is None and not path.endswith("/messages/count_tokens")):
            self._remember()
            return self._aside(path)
        try:
            body = json.loads(await loopback.read(self._request, loopback.LARGE))
        except ValueError:
            return web.json_response(chat.failure("invalid_request_error", "the body is not JSON"), status=400)
        if api is None:
            self._remember(body=body)
            return web.json_response({"input_tokens": script.Usage().input})
        conversation: Conversation = api.read(body)
        reply = script.reply(self._script_for(conversation.prompt), conversation.results)
        self._remember(conversation, reply.usage, body)
        await asyncio.sleep(reply.wait)
        if isinstance(reply.broken, script.Fail):
            return self._failure(api, reply.broken)
        if reply.broken:
            return web.Response(body=b"\x00\xffthis is no answer\n" * 8, content_type="text/event-stream")
        return await self._reply(api, conversation, reply)

    def _aside(self, path: str) -> web.Response:
        if path.endswith("/models"):
            model = {
                "id": MODEL,
                "object": "model",
                "type": "model",
                "display_name": MODEL,
                "created": 0,
                "owned_by": MODEL,
            }
            return web.json_response({"object": "list", "data": [model], "has_more": False})
        if self._request.method in {"GET", "HEAD"}:
            return web.json_response({})
        return web.json_response(chat.failure("not_found_error", "the stub has no such route"), status=404)

    def _failure(self, api: ModuleType, fail: script.Fail) -> web.Response:
        kind = fail.type or _ERROR_TYPES.get(fail.status, "api_error")
        headers = {} if fail.retry_after is None else {"Retry-After": str(fail.retry_after)}
        body = api.failure(kind, f"the script says {fail.status}")
        return web.json_response(body, status=fail.status, headers=headers)

    async def _reply(self, api: ModuleType, conversation: Conversation, reply: script.Reply) -> web.StreamResponse:
        call = tool_call(reply.act, conversation.tools) if reply.act else None
        text = reply.text if call or not reply.act else f"{reply.text}[no tool is offered for {reply.act}]"
        if not conversation.stream:
            return web.json_response(api.whole(conversation, text, call, reply.usage))
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await stream.prepare(self._request)
        for event in api.events(conversation, text, call, reply.usage):
            await stream.write(event)
        await stream.write_eof()
        return stream

    def _remember(
        self,
        conversation: Conversation | None = None,
        usage: script.Usage | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        headers = self._request.headers
        secret = headers.get("Authorization") or headers.get("x-api-key")
        credential = hashlib.sha256(secret.encode()).hexdigest()[:12] if secret else ABSENT
        self._requests.append(
            Request(
                method=self._request.method,
                path=self._request.path,
                credential=credential,
                model=conversation.model if conversation else "",
                prompt=conversation.prompt if conversation else "",
                results=conversation.results if conversation else 0,
                tools=tuple(tool.name for tool in conversation.tools) if conversation else (),
                usage=usage,
                body=body or {},
                headers={name.lower(): text for name, text in headers.items() if name.lower() not in _SECRET},
            )
        )


async def _listening(runner: web.AppRunner, port: int) -> int:
    await runner.setup()
    return await loopback.listen(runner, port)


async def _stop(runner: web.AppRunner) -> None:
    await runner.cleanup()
    # aiohttp does not cancel a handler that is still waiting, and the event loop is about to stop.
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    if _PLAN_PATH in request.path:
        response.headers.update(_PLAN_HEADERS)
    response.headers[MARK[0]] = MARK[1]
    response.headers["Server"] = "local-model"
