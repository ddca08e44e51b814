"""Delivers webhook events to loopback addresses that the instance's settings allow (docs: Webhooks).

Hooks with other addresses are stored and shown, but never called. An event is stored in the same transaction as its
change, so a crash loses none. As in GitLab, each event is sent once.
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
from factory.local_gitlab.projects import application_settings
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Change, Document, Store
from factory.local_gitlab.webhooks import events, project_hooks
from factory.local_gitlab.webhooks.events import Event
from factory.system import clock, log

_KIND, _PENDING = "hook_event", "pending"
# GitLab docs: Webhooks, auto-disabled webhooks: 4 consecutive failures disable a hook for a minute; each further
# failure doubles the time.
_TIMEOUT, _ALLOWED_FAILURES, _LONGEST_PAUSE = 10.0, 4, timedelta(days=1)
_CONCURRENT, _STORED_EVENTS, _RESPONSE_BYTES = 5, 50, 2000


def watch(context: Context) -> None:
    """Store the events of hooks with each transaction."""
    context.store.watch(events.KINDS, lambda changes: _enqueue(context, changes))


def _enqueue(context: Context, changes: Sequence[Change]) -> None:
    store = context.store
    found = [hook for hook in store.all(project_hooks.KIND) if application_settings.lets_call(store, hook["url"])]
    by_project = {hook["project_id"] for hook in found}
    matching = [
        (hook, event)
        for change in changes
        if (number := change.after["id"] if change.kind == "project" and change.after else change.project) in by_project
        for event in _events_of(context, change)
        for hook in found
        if hook["project_id"] == number and hook[event.flag] and project_hooks.lets_through(hook, event.branch)
    ]
    for hook, event in matching:
        _add(store, hook, event)
        context.hook_waiting.set()


def _events_of(context: Context, change: Change) -> list[Event]:
    try:
        return list(events.of(context, change))
    except FactoryError as error:
        # A payload that cannot be built must not prevent the change.
        log.event("a hook was not told", kind=change.kind, reason=str(error))
        return []


def _add(store: Store, hook: Document, event: Event) -> Document:
    """Store an event for the sender and delete the hook's oldest events beyond the limit."""
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
    added = store.add(_KIND, document, project=hook["project_id"])
    for old in store.all(_KIND, project=hook["project_id"], _hook=hook["id"])[:-_STORED_EVENTS]:
        if old["response_status"] != _PENDING:
            store.delete(_KIND, old)
    return added


async def run(context: Context) -> None:
    """Send stored events until cancelled, including events that an earlier server did not send."""
    sending: dict[int, asyncio.Task[None]] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT)) as session:
        try:
            while True:
                context.hook_waiting.clear()
                for event in context.store.all(_KIND, response_status=_PENDING):
                    if event["id"] not in sending and len(sending) < _CONCURRENT:
                        task = asyncio.create_task(_send(context, session, event))
                        sending[event["id"]] = task
                        task.add_done_callback(partial(_sent, context, sending, event["id"]))
                await context.hook_waiting.wait()
        finally:
            # Events of cancelled tasks stay pending in the store.
            unfinished = list(sending.values())
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)


def _sent(context: Context, sending: dict[int, "asyncio.Task[None]"], number: int, _: object) -> None:
    del sending[number]
    context.hook_waiting.set()


async def _send(context: Context, session: aiohttp.ClientSession, event: Document) -> None:
    store, started = context.store, clock.monotonic()
    hook = store.get(project_hooks.KIND, event["_hook"])
    answer: Document = {"response_status": "internal error", "response_body": "the hook was deleted or disabled"}
    # Checked again because the event may have been stored long ago.
    if hook and not project_hooks.is_disabled(hook) and application_settings.lets_call(store, hook["url"]):
        headers = {**event["request_headers"], "X-Gitlab-Instance": context.base_url}
        if hook["_token"]:
            headers["X-Gitlab-Token"] = hook["_token"]
        try:
            body = json.dumps(event["request_data"]).encode()
            options: dict[str, Any] = {"data": body, "headers": headers, "ssl": bool(hook["enable_ssl_verification"])}
            async with session.post(hook["url"], allow_redirects=False, **options) as response:
                text = (await response.content.read(_RESPONSE_BYTES)).decode(errors="replace")
                answer = {"response_status": str(response.status), "response_body": text}
                answer["response_headers"] = dict(response.headers)
        # aiohttp raises ValueError for an invalid header.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            answer = {"response_status": "internal error", "response_body": f"{type(error).__name__}: {error}"}
        answer["execution_duration"] = round(clock.monotonic() - started, 3)
    with store.transaction():
        if store.get(_KIND, event["id"]):
            store.save(_KIND, event | answer)
        fresh = store.get(project_hooks.KIND, event["_hook"])
        if fresh and "execution_duration" in answer:
            store.save(project_hooks.KIND, fresh | _failure_fields(fresh, ok=answer["response_status"].startswith("2")))


def _failure_fields(hook: Mapping[str, Any], *, ok: bool) -> Document:
    """Return a hook's failure count and pause after a delivery; the pause doubles with each further failure."""
    failures = 0 if ok else hook.get("_failures", 0) + 1
    if failures < _ALLOWED_FAILURES:
        return {"_failures": failures, "disabled_until": None}
    pause = min(timedelta(minutes=2 ** min(failures - _ALLOWED_FAILURES, 20)), _LONGEST_PAUSE)
    return {"_failures": failures, "disabled_until": clock.iso(clock.now() + pause)}


def _events(call: Call) -> Any:
    hook = project_hooks.find(call)
    found = call.store.all(_KIND, project=call.project["id"], _hook=hook["id"])
    return Page([api.public(event, "iid") for event in reversed(found)])


def _resend(call: Call) -> Any:
    """Send an event again with the same id headers, so that the receiver can recognize it."""
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
