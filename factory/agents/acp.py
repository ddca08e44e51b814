"""Drives one attempt of any agent that speaks the Agent Client Protocol (agentclientprotocol.com), within our limits.

What the agent says is recorded, what it asks for is answered by policy, and whatever it does (hang, crash, flood,
print garbage, ignore that it is cancelled) the attempt ends with one of our reasons and nothing of it is left running.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import acp

from factory.agents import metering
from factory.agents.acp_client import Client, Record
from factory.agents.acp_conversation import Conversation, Opening, Tool
from factory.agents.metering import FREE, Bounds, Rates, Spent
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.model.agent import Reason, Turn
from factory.sandbox import watch
from factory.sandbox.launch import Prepared
from factory.sandbox.limits import UNBOUNDED, Limits
from factory.system import clock, family, process

Ending = tuple[Reason, str]

_LINE = 8 * 1024 * 1024
_TICK = 0.2
# How long an agent may take to save its session once its input is closed.
_SAVING_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """What an agent is to do, and under which rules; ``resume`` names a session of its own that it goes on with."""

    brief: str
    worktree: Path
    permissions: Permissions
    bounds: Bounds
    rates: Rates = FREE
    mode: str = ""
    resume: str = ""
    tools: Sequence[Tool] = ()
    provider: Provider = field(default_factory=Provider)
    paused: Callable[[], bool] = lambda: False
    watched: Limits = UNBOUNDED


def exceeded(pid: int, watched: Limits) -> Ending | None:
    """Return which limit a program exceeds that nothing but a look can hold on this machine."""
    problem = watch.over(pid, watched) if watched.set_ones() else None
    return None if problem is None else (Reason.CRASHED, problem)


def _nothing() -> None:
    return None


def run(
    prepared: Prepared,
    task: Task,
    *,
    record: Record,
    errors: IO[bytes],
    tick: Callable[[], Ending | None] = _nothing,
) -> Turn:
    """Start the agent, give it the brief, and return how the attempt ended.

    ``record`` gets every event, ``errors`` what it writes to standard error. ``tick`` is called a few times per second
    while the agent works: what it returns ends the attempt for that reason, so does what it raises. Raises
    ``MachineError`` where the agent cannot be started.
    """
    logging.getLogger("acp").setLevel(logging.CRITICAL)  # what an untrusted peer sends is recorded, not logged
    return asyncio.run(_Attempt(task, record, tick).run(prepared, errors))


class _Attempt:
    """One attempt: the agent's process, its connection and the watch over both."""

    def __init__(self, task: Task, record: Record, tick: Callable[[], Ending | None]) -> None:
        self._task = task
        self._record = record
        self._tick = tick
        self._client = Client(task.permissions, record)
        self._conversation: Conversation
        self._received = 0
        self._orderly = False
        self._start = self._heard = clock.monotonic()

    async def run(self, prepared: Prepared, errors: IO[bytes]) -> Turn:
        group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, limit=_LINE, stderr=errors)
        reader = asyncio.StreamReader(limit=_LINE)
        pump = asyncio.create_task(self._pump(group.process.stdout, reader))
        client: Any = self._client  # the SDK finds what a client offers by its methods
        connection = acp.connect_to_agent(client, group.process.stdin, reader)
        given = self._task
        opening = Opening(str(given.worktree), given.mode, given.resume, given.tools)
        self._conversation = Conversation(connection, self._client, self._record, opening)
        talk = asyncio.create_task(self._conversation.hold(given.brief))
        try:
            turn = await self._watch(group, talk)
            self._orderly = turn.reason is not Reason.CRASHED
        finally:
            for task in (talk, pump):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            with suppress(Exception):
                await connection.close()
            await self._let_go(group)
        turn = self._measured(turn)
        told = {"reason": turn.reason.value, "detail": turn.detail, "usage": dict(turn.usage), "source": turn.source}
        self._record({"event": "end", **told})
        return turn

    async def _let_go(self, group: process.AsyncGroup) -> None:
        """End the agent: by its closed input, which lets it save its session, then by force."""
        if group.process.stdin is not None:
            group.process.stdin.close()
        gone = asyncio.create_task(group.process.wait())
        await asyncio.wait({gone}, timeout=_SAVING_SECONDS if self._orderly else 0)
        gone.cancel()
        await group.kill()

    async def _pump(self, source: asyncio.StreamReader | None, target: asyncio.StreamReader) -> None:
        """Pass the agent's output on, counting it."""
        while source is not None and (chunk := await source.read(65536)):
            self._received += len(chunk)
            self._heard = clock.monotonic()
            target.feed_data(chunk)
        target.feed_eof()

    async def _watch(self, group: process.AsyncGroup, talk: "asyncio.Task[Turn]") -> Turn:
        """Wait for the attempt's end, the process's end or a limit, whichever comes first."""
        gone = asyncio.create_task(group.process.wait())
        warned = False
        try:
            while True:
                await asyncio.wait({talk, gone}, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                if talk.done():
                    return self._outcome(talk)
                if gone.done():
                    await asyncio.wait({talk}, timeout=1)
                    crashed = Turn(Reason.CRASHED, f"the agent ended with {group.process.returncode}")
                    return self._outcome(talk) if talk.done() and talk.exception() is None else self._troubled(crashed)
                await self._pause(group.process.pid)
                spent = self._spent()
                ending = metering.over(spent, self._task.bounds) or self._task.provider.lost() or self._tick()
                ending = ending or exceeded(group.process.pid, self._task.watched)
                if ending is not None:
                    return await self._stop(talk, ending)
                near = metering.near(spent, self._task.bounds)
                if near is not None and not warned:
                    warned = True
                    self._record({"event": "notice", "text": f"near its limit: {near[1]}; asked to save its work"})
                    await self._conversation.save(near)
        finally:
            gone.cancel()

    async def _pause(self, pid: int) -> None:
        """Hold the agent while a person wants it; that time counts for no limit."""
        if not self._task.paused():
            return
        began = clock.monotonic()
        self._record({"event": "notice", "text": "paused"})
        family.suspend(pid)
        while self._task.paused() and self._tick() is None:  # noqa: ASYNC110 - the wish is a file of another process
            await asyncio.sleep(_TICK)
        family.carry_on(pid)
        self._start += clock.monotonic() - began
        self._heard = clock.monotonic()
        self._record({"event": "notice", "text": "goes on"})

    async def _stop(self, talk: "asyncio.Task[Turn]", ending: Ending) -> Turn:
        """Cancel the agent, give it its grace, and end the attempt for our reason."""
        self._record({"event": "notice", "text": f"stopped: {ending[1]}"})
        if ending[0] not in {Reason.CRASHED, Reason.STALLED}:
            await self._conversation.stop()
            await asyncio.wait({talk}, timeout=self._task.bounds.grace_seconds)
        return self._troubled(Turn(*ending)) if ending[0] is Reason.STALLED else Turn(*ending)

    def _outcome(self, talk: "asyncio.Task[Turn]") -> Turn:
        error = talk.exception()
        if error is None:
            turn = talk.result()
            # An agent may end its turn as if all were well where its model failed.
            return self._troubled(turn) if turn.reason in {Reason.BLOCKED, Reason.DONE_FOR_REVIEW} else turn
        if isinstance(error, acp.RequestError):
            return self._troubled(Turn(Reason.CRASHED, f"the agent answered with an error: {error}"))
        return self._troubled(Turn(Reason.CRASHED, f"the agent broke the protocol: {type(error).__name__}"))

    def _troubled(self, turn: Turn) -> Turn:
        """Return a failed turn for the reason that its model's provider gave, where it gave one."""
        trouble = self._task.provider.trouble()
        return turn if trouble is None else replace(turn, reason=trouble[0], detail=trouble[1])

    def _spent(self) -> Spent:
        now = clock.monotonic()
        usage, _ = self._tokens()
        return Spent(
            turns=self._client.calls,
            seconds=now - self._start,
            silent=now - max(self._heard, self._task.provider.heard),
            output=self._received,
            tokens=metering.total(usage),
            usd_micros=metering.cost(usage, self._task.rates),
        )

    def _tokens(self) -> tuple[dict[str, int], str]:
        """Return what was used so far and who says so: the provider, the agent, or an estimate from the bytes."""
        provider = self._task.provider
        if counted := provider.usage():
            return counted, "provider"
        if reported := self._conversation.usage:
            return reported, "agent"
        told = self._conversation.sent
        sent, received = (provider.sent, provider.received) if provider.sent else (told, self._received)
        return metering.estimate(sent, received), "estimate"

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
