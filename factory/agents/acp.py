"""Runs one attempt of an agent that speaks the Agent Client Protocol (agentclientprotocol.com), within limits.

The agent's messages are recorded and policy answers its requests. Even if the agent hangs, crashes, floods its output,
prints garbage or ignores a cancellation, the attempt ends with one ``Reason`` and all of its processes end.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import acp

from factory.agents import attempt_limits, pause, token_costs
from factory.agents.acp_client import Client
from factory.agents.acp_conversation import BROKEN, Conversation, Opening
from factory.agents.attempt_limits import Consumption
from factory.agents.task import Ending, Record, Task, exceeded, exited
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import PreparedLaunch
from factory.system import clock, process

_LINE = 8 * 1024 * 1024
_TICK = 0.2
_SDK = Path(acp.__file__).parent
# Open requests of an agent that does not read our answers.
_MOST_OPEN = 500
# ACP: error codes, auth_required.
_AUTH_REQUIRED = -32000
_LONGEST_DETAIL = 300


def _nothing() -> None:
    return None


def run(
    prepared: PreparedLaunch,
    task: Task,
    *,
    record: Record,
    errors: IO[bytes],
    tick: Callable[[], Ending | None] = _nothing,
) -> Turn:
    """Start the agent, send it the brief, and return how the attempt ended.

    ``record`` receives every event, ``errors`` the agent's standard error. ``tick`` is called a few times per second
    while the agent works; the attempt ends if ``tick`` returns an ending or raises. Raises ``MachineError`` if the
    agent cannot be started.
    """
    logging.getLogger().addFilter(_not_of_the_peer)
    return asyncio.run(_Attempt(task, record, tick).run(prepared, errors))


def _not_of_the_peer(entry: logging.LogRecord) -> bool:
    """Drop the SDK's log entries, because they contain messages of an untrusted peer; the transcript has them."""
    return not entry.pathname.startswith(str(_SDK))


class _Attempt:
    """One attempt: the agent's process, its connection, and the checks of both against the limits."""

    def __init__(self, task: Task, record: Record, tick: Callable[[], Ending | None]) -> None:
        self._task = task
        self._record = record
        self._tick = tick
        self._client = Client(task.permissions, record)
        self._conversation: Conversation
        self._received = 0
        self._reported: tuple[dict[str, int], int, int] = ({}, 0, 0)
        self._errors = 0
        self._orderly = False
        self._start = self._heard = clock.monotonic()

    async def run(self, prepared: PreparedLaunch, errors: IO[bytes]) -> Turn:
        group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, limit=_LINE, stderr=errors)
        reader = asyncio.StreamReader(limit=_LINE)
        pump = asyncio.create_task(self._pump(group.process.stdout, reader))
        client: Any = self._client  # the SDK detects a client's abilities by its methods
        connection = acp.connect_to_agent(client, group.process.stdin, reader)
        self._errors = errors.fileno()
        work = self._task
        opening = Opening(str(work.worktree), work.mode, work.resume, work.tools)
        self._conversation = Conversation(connection, self._client, self._record, opening)
        talk = asyncio.create_task(self._conversation.hold(work.brief))
        try:
            turn = await self._watch(group, talk)
            self._orderly = turn.reason is not Reason.CRASHED
        finally:
            for task in (talk, pump):
                task.cancel()
            await asyncio.gather(talk, pump, return_exceptions=True)
            await self._end(group)
            # Only after the agent's end: an agent that does not read would block this call until its buffer is sent.
            with suppress(*BROKEN):
                async with asyncio.timeout(1):
                    await connection.close()
        turn = self._measured(turn)
        end = {"reason": turn.reason.value, "detail": turn.detail, "usage": dict(turn.usage), "source": turn.source}
        self._record({"event": "end", **end})
        return turn

    async def _end(self, group: process.AsyncGroup) -> None:
        """Close the agent's input, so that it can save its session, then kill its process group."""
        if group.process.stdin is not None:
            group.process.stdin.close()
        gone = asyncio.create_task(group.process.wait())
        await asyncio.wait({gone}, timeout=self._task.saving_seconds if self._orderly else 0)
        gone.cancel()
        await group.kill()

    async def _pump(self, source: asyncio.StreamReader | None, target: asyncio.StreamReader) -> None:
        """Forward the agent's output and count its bytes; stop at the output limit."""
        while source is not None and (chunk := await source.read(65536)):
            self._received += len(chunk)
            self._heard = clock.monotonic()
            if self._received > self._task.bounds.output_bytes:
                return
            target.feed_data(chunk)
            await asyncio.sleep(0)  # lets the reader consume this chunk first, so that a flood cannot pile up
        target.feed_eof()

    async def _watch(self, group: process.AsyncGroup, talk: "asyncio.Task[Turn]") -> Turn:
        """Wait for the attempt's end, the process's end or a limit, whichever comes first."""
        gone = asyncio.create_task(group.process.wait())
        warned = False
        try:
            while True:
                await asyncio.wait({talk, gone}, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                if talk.done():
                    if isinstance(talk.exception(), ConnectionError):
                        # The pipes of an agent that ends are closed a moment before its exit code is known.
                        await asyncio.wait({gone}, timeout=1)
                    if isinstance(talk.exception(), ConnectionError) and group.process.returncode is not None:
                        return self._troubled(_ended(group.process.returncode))
                    return self._outcome(talk)
                # A child may keep the agent's pipes open; then wait() does not return although the agent has exited.
                if gone.done() or group.process.returncode is not None:
                    await asyncio.wait({talk}, timeout=1)
                    if talk.done() and not isinstance(talk.exception(), ConnectionError):
                        return self._outcome(talk)
                    return self._troubled(_ended(group.process.returncode))
                await self._pause(group.process.pid)
                spent = self._spent()
                ending = attempt_limits.over(spent, self._task.bounds) or self._task.provider.lost() or self._tick()
                ending = ending or exceeded(group.process.pid, self._task.watched) or _crowded()
                if ending is not None:
                    return await self._stop(talk, ending)
                near = attempt_limits.near(spent, self._task.bounds)
                if near is not None and not warned and self._conversation.sent:
                    warned = True
                    self._record({"event": "notice", "text": f"near its limit: {near[1]}; asked to save its work"})
                    await self._conversation.save(near)
        finally:
            gone.cancel()

    async def _pause(self, pid: int) -> None:
        """Suspend the agent while a person pauses it; the pause counts for no limit."""
        task = self._task
        held = await pause.hold(
            pid,
            paused=task.paused,
            ended=lambda: self._tick() is not None,
            provider=task.provider,
            record=self._record,
        )
        if held:
            self._start += held
            self._heard = clock.monotonic()

    async def _stop(self, talk: "asyncio.Task[Turn]", ending: Ending) -> Turn:
        """Cancel the agent, wait for at most ``grace_seconds``, and return the turn with the reason of ``ending``."""
        self._record({"event": "notice", "text": f"stopped: {ending[1]}"})
        if ending[0] not in {Reason.CRASHED, Reason.STALLED}:
            await self._conversation.stop()
            await asyncio.wait({talk}, timeout=self._task.bounds.grace_seconds)
        return self._troubled(Turn(*ending)) if ending[0] is Reason.STALLED else Turn(*ending)

    def _outcome(self, talk: "asyncio.Task[Turn]") -> Turn:
        error = talk.exception()
        if error is None:
            turn = talk.result()
            if turn.reason is Reason.CANCELLED_BY_HUMAN:  # a person cancels through ``tick``, never the agent
                turn = Turn(Reason.CRASHED, "the agent cancelled its own turn")
            # An agent may report a normal end although its model failed.
            return self._troubled(turn) if turn.reason in {Reason.BLOCKED, Reason.DONE_FOR_REVIEW} else turn
        if isinstance(error, acp.RequestError):
            reason = Reason.AUTH_FAILED if error.code == _AUTH_REQUIRED else Reason.CRASHED
            return self._troubled(Turn(reason, f"the agent answered with an error: {_shown(error)}"))
        return self._troubled(Turn(Reason.CRASHED, f"the agent broke the protocol: {_broken(error)}"))

    def _troubled(self, turn: Turn) -> Turn:
        """Return the turn with the reason of the model provider's failure, if the provider failed."""
        trouble = self._task.provider.trouble()
        return turn if trouble is None else replace(turn, reason=trouble[0], detail=trouble[1])

    def _spent(self) -> Consumption:
        now = clock.monotonic()
        usage, _ = self._tokens()
        return Consumption(
            turns=self._client.calls,
            seconds=now - self._start,
            silent=now - max(self._heard, self._task.provider.heard),
            output=self._received + os.fstat(self._errors).st_size,
            tokens=token_costs.total(usage),
            usd_micros=token_costs.cost(usage, self._task.rates),
        )

    def _tokens(self) -> tuple[dict[str, int], str]:
        """Return the tokens used so far and their source: the provider, the agent, or an estimate from the bytes."""
        provider = self._task.provider
        if counted := provider.usage():
            return counted, "estimate" if provider.estimated else "provider"
        prompted = self._conversation.sent
        if reported := self._conversation.usage:
            # An agent reports its usage only at the end of a prompt; the usage since then is estimated.
            if reported != self._reported[0]:
                self._reported = (reported, prompted, self._received)
            _, before_sent, before_received = self._reported
            since = token_costs.estimate(prompted - before_sent, self._received - before_received)
            return token_costs.add(reported, since), "agent"
        sent, received = (provider.sent, provider.received) if provider.sent else (prompted, self._received)
        return token_costs.estimate(sent, received), "estimate"

    def _measured(self, turn: Turn) -> Turn:
        usage, source = self._tokens()
        return replace(
            turn,
            message="".join(self._client.said),
            usage=usage,
            source=source,
            calls=self._client.calls,
            resume=self._conversation.session,
            reset_at=self._task.provider.reset_at if turn.reason is Reason.PROVIDER_LIMITED else "",
        )


def _crowded() -> Ending | None:
    """Return an ending if the agent leaves too many answers unread, because each open request takes memory."""
    crowd = len(asyncio.all_tasks())
    return (Reason.CRASHED, "it does not read the answers to its requests") if crowd > _MOST_OPEN else None


def _ended(code: int | None) -> Turn:
    return Turn(*exited("the agent", code))


def _shown(error: acp.RequestError) -> str:
    """Return an error's message and the texts in its data, in one line."""
    texts = [str(error)]
    waiting = [error.data]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, dict | list):
            waiting += one.values() if isinstance(one, dict) else one
    return " ".join(": ".join(dict.fromkeys(texts)).split())[:_LONGEST_DETAIL]


def _broken(error: BaseException) -> str:
    """Return the error's class and, if the SDK refused a message, the field and why."""
    problems = getattr(error, "errors", None)
    found = problems()[0] if callable(problems) else None
    if not isinstance(found, dict):
        return type(error).__name__
    where = ".".join(str(part) for part in found.get("loc", ()))
    return f"{where}: {found.get('msg')}"[:_LONGEST_DETAIL]
