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
from acp import schema

from factory import __version__
from factory.agents import metering
from factory.agents.acp_client import Client, Record
from factory.agents.metering import FREE, Bounds, Rates, Spent
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Prepared
from factory.system import clock, family, process

Ending = tuple[Reason, str]

_LINE = 8 * 1024 * 1024
_TICK = 0.2
_STOPS = {
    "end_turn": Reason.DONE_FOR_REVIEW,
    "max_tokens": Reason.TURN_LIMIT,
    "max_turn_requests": Reason.TURN_LIMIT,
    "refusal": Reason.BLOCKED,
    "cancelled": Reason.CANCELLED_BY_HUMAN,
}
_WRAP_UP = (
    "You are near a limit of this attempt ({limit}). Do not begin anything new: leave the files in a consistent state, "
    "say in a few lines what is done and what is left, and end."
)


_REFUSED = "This was refused: {what}. It stays refused; go on without it."
_MOST_REFUSALS = 5


@dataclass(frozen=True)
class Tool:
    """A tool server that the agent may use, over the Model Context Protocol on standard input and output."""

    name: str
    command: str
    arguments: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


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
        self._connection: Any = None
        self._session = ""
        self._usage: dict[str, int] = {}
        self._sent = self._received = 0
        self._start = self._heard = clock.monotonic()
        self._near: Ending | None = None

    async def run(self, prepared: Prepared, errors: IO[bytes]) -> Turn:
        group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, limit=_LINE, stderr=errors)
        reader = asyncio.StreamReader(limit=_LINE)
        pump = asyncio.create_task(self._pump(group.process.stdout, reader))
        client: Any = self._client  # the SDK finds what a client offers by its methods
        self._connection = acp.connect_to_agent(client, group.process.stdin, reader)
        talk = asyncio.create_task(self._talk())
        try:
            turn = await self._watch(group, talk)
        finally:
            for task in (talk, pump):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            with suppress(Exception):
                await self._connection.close()
            await group.kill()
        turn = self._measured(turn)
        told = {"reason": turn.reason.value, "detail": turn.detail, "usage": dict(turn.usage), "source": turn.source}
        self._record({"event": "end", **told})
        return turn

    async def _pump(self, source: asyncio.StreamReader | None, target: asyncio.StreamReader) -> None:
        """Pass the agent's output on, counting it."""
        while source is not None and (chunk := await source.read(65536)):
            self._received += len(chunk)
            self._heard = clock.monotonic()
            target.feed_data(chunk)
        target.feed_eof()

    async def _talk(self) -> Turn:
        started = await self._connection.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=schema.ClientCapabilities(
                fs=schema.FileSystemCapabilities(read_text_file=True, write_text_file=True)
            ),
            client_info=schema.Implementation(name="factory", version=__version__),
        )
        await self._open(started)
        turn = await self._prompt(self._task.brief)
        again = 0
        while turn.reason is Reason.CANCELLED_BY_HUMAN:
            if self._near is not None:
                reason, limit = self._near
                self._near = None
                return replace(await self._prompt(_WRAP_UP.format(limit=limit)), reason=reason, detail=limit)
            # Some agents end their turn where a request of theirs is refused, and do not tell their model.
            if not self._client.refused or again >= _MOST_REFUSALS:
                break
            again += 1
            turn = await self._prompt(_REFUSED.format(what="; ".join(self._client.take_refused())))
        return turn

    async def _open(self, started: Any) -> None:
        """Begin a session, or go on with the agent's own where it can; set the mode that its policy names."""
        task = self._task
        tools: list[Any] = [
            schema.McpServerStdio(
                name=tool.name,
                command=tool.command,
                args=list(tool.arguments),
                env=[schema.EnvVariable(name=name, value=value) for name, value in tool.env],
            )
            for tool in task.tools
        ]
        can = started.agent_capabilities
        if task.resume and can is not None and can.load_session:
            more = can.session_capabilities
            begin = self._connection.resume_session if more and more.resume else self._connection.load_session
            self._client.muted = True
            try:
                await begin(cwd=str(task.worktree), session_id=task.resume, mcp_servers=tools)
                self._session = task.resume
            except acp.RequestError as error:
                self._record({"event": "notice", "text": f"the agent cannot resume {task.resume}: {error}"})
            self._client.muted = False
        if not self._session:
            made = await self._connection.new_session(cwd=str(task.worktree), mcp_servers=tools)
            self._session = made.session_id
        if task.mode:
            await self._connection.set_session_mode(session_id=self._session, mode_id=task.mode)

    async def _prompt(self, text: str) -> Turn:
        self._record({"event": "prompt", "text": text})
        self._sent += len(text)
        answer = await self._connection.prompt(session_id=self._session, prompt=[acp.text_block(text)])
        self._usage = metering.add(self._usage, _usage(answer.usage))
        return Turn(_STOPS.get(answer.stop_reason, Reason.CRASHED), f"the agent stopped: {answer.stop_reason}")

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
                if ending is not None:
                    return await self._stop(talk, ending)
                near = metering.near(spent, self._task.bounds)
                if near is not None and not warned:
                    warned, self._near = True, near
                    self._record({"event": "notice", "text": f"near its limit: {near[1]}; asked to save its work"})
                    await self._cancel()
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
        self._near = None
        self._record({"event": "notice", "text": f"stopped: {ending[1]}"})
        if ending[0] not in {Reason.CRASHED, Reason.STALLED}:
            await self._cancel()
            await asyncio.wait({talk}, timeout=self._task.bounds.grace_seconds)
        return self._troubled(Turn(*ending)) if ending[0] is Reason.STALLED else Turn(*ending)

    async def _cancel(self) -> None:
        if self._session:
            with suppress(Exception):
                async with asyncio.timeout(1):
                    await self._connection.cancel(session_id=self._session)

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
        if self._usage:
            return self._usage, "agent"
        sent, received = (provider.sent, provider.received) if provider.sent else (self._sent, self._received)
        return metering.estimate(sent, received), "estimate"

    def _measured(self, turn: Turn) -> Turn:
        usage, source = self._tokens()
        return replace(
            turn,
            message="".join(self._client.said),
            usage=usage,
            source=source,
            calls=self._client.calls,
            resume=self._session,
            reset_at=self._task.provider.reset_at if turn.reason is Reason.PROVIDER_LIMITED else "",
        )


def _usage(usage: Any) -> dict[str, int]:
    """Return what the protocol reports of one prompt's tokens; nothing where the agent reports nothing."""
    if usage is None:
        return {}
    names = ("input_tokens", "output_tokens", "thought_tokens", "cached_read_tokens", "total_tokens")
    return {name: value for name in names if (value := getattr(usage, name)) is not None}
