"""Sends what webhooks ask for (docs: Webhooks), to addresses of this machine that the instance's settings allow.

A hook to anywhere else is kept and shown, and nothing is sent. An event is written down with the change that it tells
of, so a crash loses none of them; like GitLab, it is tried once.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp

from factory.errors import FactoryError
from factory.local_gitlab.hooks import events, project_hooks
from factory.local_gitlab.hooks.events import Event
from factory.local_gitlab.projects import application_settings
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Change, Document, Store
from factory.system import clock, log

_KIND, _PENDING = "hook_event", "pending"
# GitLab docs: Webhooks, auto-disabled webhooks: after 4 failures in a row for a minute, then each time twice as long.
_PATIENCE, _PATIENT_FAILURES, _LONGEST = 10.0, 4, timedelta(days=1)
_AT_ONCE, _KEPT, _SHOWN = 5, 50, 2000


def watch(context: Context) -> None:
    """Write down, with each transaction, what hooks ask to be told of."""
    context.store.watch(events.KINDS, lambda changes: _take(context, changes))


def _take(context: Context, changes: Sequence[Change]) -> None:
    store = context.store
    found = [hook for hook in store.all(project_hooks.KIND) if application_settings.lets_call(store, hook["url"])]
    by_project = {hook["project_id"] for hook in found}
    told = [
        (hook, event)
        for change in changes
        if (number := change.after["id"] if change.kind == "project" and change.after else change.project) in by_project
        for event in _events_of(context, change)
        for hook in found
        if hook["project_id"] == number and hook[event.flag] and project_hooks.lets_through(hook, event.branch)
    ]
    for hook, event in told:
        _keep(store, hook, event)
        context.hook_waiting.set()


def _events_of(context: Context, change: Change) -> list[Event]:
    try:
        return list(events.of(context, change))
    except FactoryError as error:
        # What can't be told must not keep the change itself from being made.
        log.event("a hook was not told", kind=change.kind, reason=str(error))
        return []


def _keep(store: Store, hook: Document, event: Event) -> Document:
    """Write an event down for the sender, and forget the oldest beyond those that are kept."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitLab/local",
        "Idempotency-Key": secrets.token_hex(16),
        "X-Gitlab-Event": event.title,
        "X-Gitlab-Event-UUID": secrets.token_hex(16),
        "X-Gitlab-Webhook-UUID": hook.get("_uuid", ""),
    }
    document = {
        "url": hook["url"],
        "trigger": event.flag.removesuffix("_events") + "_hooks",
        "request_headers": headers,
        "request_data": event.payload,
        "response_headers": {},
        "response_body": "",
        "execution_duration": 0.0,
        "response_status": _PENDING,
        "_hook": hook["id"],
    }
    made = store.add(_KIND, document, project=hook["project_id"])
    for old in store.all(_KIND, project=hook["project_id"], _hook=hook["id"])[:-_KEPT]:
        if old["response_status"] != _PENDING:
            store.delete(_KIND, old)
    return made


async def run(context: Context) -> None:
    """Send what is written down until cancelled, what an earlier server left unsent first."""
    sending: dict[int, asyncio.Task[None]] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE)) as session:
        try:
            while True:
                context.hook_waiting.clear()
                for event in context.store.all(_KIND, response_status=_PENDING):
                    if event["id"] not in sending and len(sending) < _AT_ONCE:
                        task = asyncio.create_task(_send(context, session, event))
                        sending[event["id"]] = task
                        task.add_done_callback(partial(_over, context, sending, event["id"]))
                await context.hook_waiting.wait()
        finally:
            # What is cut off here stays written down as unsent.
            ending = list(sending.values())
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


def _over(context: Context, sending: dict[int, "asyncio.Task[None]"], number: int, _: object) -> None:
    del sending[number]
    context.hook_waiting.set()


async def _send(context: Context, session: aiohttp.ClientSession, event: Document) -> None:
    store, started = context.store, clock.monotonic()
    hook = store.get(project_hooks.KIND, event["_hook"])
    answer: Document = {"response_status": "internal error", "response_body": "the hook is gone or disabled"}
    # Asked again: it may have been written down long ago.
    if hook and not project_hooks.is_disabled(hook) and application_settings.lets_call(store, hook["url"]):
        headers = {**event["request_headers"], "X-Gitlab-Instance": context.base_url}
        if hook["_token"]:
            headers["X-Gitlab-Token"] = hook["_token"]
        try:
            body = json.dumps(event["request_data"]).encode()
            told: dict[str, Any] = {"data": body, "headers": headers, "ssl": bool(hook["enable_ssl_verification"])}
            async with session.post(hook["url"], allow_redirects=False, **told) as response:
                text = (await response.content.read(_SHOWN)).decode(errors="replace")
                answer = {"response_status": str(response.status), "response_body": text}
                answer["response_headers"] = dict(response.headers)
        # A header that can't be sent is a ValueError.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            answer = {"response_status": "internal error", "response_body": f"{type(error).__name__}: {error}"}
        answer["execution_duration"] = round(clock.monotonic() - started, 3)
    with store.transaction():
        if store.get(_KIND, event["id"]):
            store.save(_KIND, event | answer)
        fresh = store.get(project_hooks.KIND, event["_hook"])
        if fresh and "execution_duration" in answer:
            store.save(project_hooks.KIND, fresh | _standing(fresh, ok=answer["response_status"].startswith("2")))


def _standing(hook: Mapping[str, Any], *, ok: bool) -> Document:
    """Return how a hook stands after a delivery: one that fails again and again is not called for longer and longer."""
    failures = 0 if ok else hook.get("_failures", 0) + 1
    if failures < _PATIENT_FAILURES:
        return {"_failures": failures, "disabled_until": None}
    pause = min(timedelta(minutes=2 ** min(failures - _PATIENT_FAILURES, 20)), _LONGEST)
    return {"_failures": failures, "disabled_until": clock.iso(clock.now() + pause)}


def _events(call: Call) -> Any:
    hook = project_hooks.find(call)
    found = call.store.all(_KIND, project=call.project["id"], _hook=hook["id"])
    return Page([api.public(event, "iid") for event in reversed(found)])


def _resend(call: Call) -> Any:
    """Send an event once more, as the same one: whoever gets it can tell."""
    hook = project_hooks.find(call)
    event = api.require(call.store.get(_KIND, call.iid("event_id")))
    if event["_hook"] != hook["id"]:
        raise api.not_found()
    call.store.save(_KIND, event | {"response_status": _PENDING})
    call.context.hook_waiting.set()
    return api.Answer({"response_status": _PENDING}, 201)


_HOOK_EVENTS = "/projects/{id}/hooks/{hook_id}/events"

ROUTES = (
    Route("GET", _HOOK_EVENTS, _events, MAINTAINER),
    Route("POST", _HOOK_EVENTS + "/{event_id}/resend", _resend, MAINTAINER),
)
