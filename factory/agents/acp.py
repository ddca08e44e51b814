"""Drives one turn of any agent that speaks the Agent Client Protocol (agentclientprotocol.com), within limits of ours.

What the agent says is recorded, what it asks for is answered by policy, and whatever it does (hang, crash, flood,
print garbage) the turn ends with one of our reasons and nothing of the agent is left running.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import acp
from acp import schema

from factory import __version__
from factory.agents.permissions import writable
from factory.errors import InvalidInput, MachineError, Refused
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Prepared
from factory.system import clock, files, process

Record = Callable[[Mapping[str, Any]], None]

_LINE = 8 * 1024 * 1024
_TICK = 0.2
_STOPS = {
    "end_turn": Reason.DONE_FOR_REVIEW,
    "max_tokens": Reason.TURN_LIMIT,
    "max_turn_requests": Reason.TURN_LIMIT,
    "refusal": Reason.BLOCKED,
    "cancelled": Reason.CANCELLED_BY_HUMAN,
}
_EDITS = {"edit", "delete", "move"}


@dataclass(frozen=True)
class Bounds:
    """What ends a turn; seconds and bytes."""

    turn_seconds: float
    silence_seconds: float
    output_bytes: int


def run_turn(
    prepared: Prepared,
    brief: str,
    *,
    worktree: Path,
    frozen: Sequence[str],
    bounds: Bounds,
    record: Record,
    errors: IO[bytes],
    tick: Callable[[], None] = lambda: None,
) -> Turn:
    """Start the agent, give it the brief, and return how the turn ended.

    ``frozen`` are paths in the worktree that it may not write; ``record`` gets every event, ``errors`` what it writes
    to standard error; ``tick`` is called a few times per second while the agent works, and what it raises ends the
    turn. Raises ``MachineError`` where the agent cannot be started.
    """
    logging.getLogger("acp").setLevel(logging.CRITICAL)  # what an untrusted peer sends is recorded, not logged
    return asyncio.run(_Turn(worktree, frozen, bounds, record, tick).run(prepared, brief, errors))


class _Turn:
    """One turn: the agent's process, its connection and the watch over both."""

    def __init__(
        self, worktree: Path, frozen: Sequence[str], bounds: Bounds, record: Record, tick: Callable[[], None]
    ) -> None:
        self._client = _Client(worktree, frozen, record)
        self._worktree = worktree
        self._bounds = bounds
        self._record = record
        self._tick = tick
        self._received = 0
        self._heard = clock.monotonic()

    async def run(self, prepared: Prepared, brief: str, errors: IO[bytes]) -> Turn:
        group = await process.start_async(prepared.argv, env=prepared.env, cwd=prepared.cwd, limit=_LINE, stderr=errors)
        reader = asyncio.StreamReader(limit=_LINE)
        pump = asyncio.create_task(self._pump(group.process.stdout, reader))
        client: Any = self._client  # the SDK finds what a client offers by its methods
        connection = acp.connect_to_agent(client, group.process.stdin, reader)
        talk = asyncio.create_task(self._talk(connection, brief))
        try:
            turn = await self._watch(group, talk)
        finally:
            for task in (talk, pump):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            with suppress(Exception):
                await connection.close()
            await group.kill()
        self._record({"event": "end", "reason": turn.reason.value, "detail": turn.detail, "usage": dict(turn.usage)})
        return turn

    async def _pump(self, source: asyncio.StreamReader | None, target: asyncio.StreamReader) -> None:
        """Pass the agent's output on, counting it."""
        while source is not None and (chunk := await source.read(65536)):
            self._received += len(chunk)
            self._heard = clock.monotonic()
            target.feed_data(chunk)
        target.feed_eof()

    async def _talk(self, connection: Any, brief: str) -> Turn:
        await connection.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=schema.ClientCapabilities(
                fs=schema.FileSystemCapabilities(read_text_file=True, write_text_file=True)
            ),
            client_info=schema.Implementation(name="factory", version=__version__),
        )
        session = await connection.new_session(cwd=str(self._worktree), mcp_servers=[])
        self._record({"event": "prompt", "text": brief})
        answer = await connection.prompt(session_id=session.session_id, prompt=[acp.text_block(brief)])
        return Turn(
            reason=_STOPS.get(answer.stop_reason, Reason.CRASHED),
            detail=f"the agent stopped: {answer.stop_reason}",
            message="".join(self._client.said),
            usage=_usage(answer.usage),
        )

    async def _watch(self, group: process.AsyncGroup, talk: "asyncio.Task[Turn]") -> Turn:
        """Wait for the turn's end, the process's end or a limit, whichever comes first."""
        start = clock.monotonic()
        gone = asyncio.create_task(group.process.wait())
        try:
            while True:
                await asyncio.wait({talk, gone}, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                if talk.done():
                    return self._outcome(talk)
                if gone.done():
                    await asyncio.wait({talk}, timeout=1)
                    crashed = Turn(Reason.CRASHED, f"the agent ended with {group.process.returncode}")
                    return self._outcome(talk) if talk.done() and talk.exception() is None else crashed
                now = clock.monotonic()
                if now - start > self._bounds.turn_seconds:
                    return Turn(Reason.TIMED_OUT, f"no end after {self._bounds.turn_seconds:g} s")
                if now - self._heard > self._bounds.silence_seconds:
                    return Turn(Reason.STALLED, f"silent for {self._bounds.silence_seconds:g} s")
                if self._received > self._bounds.output_bytes:
                    return Turn(Reason.CRASHED, f"more than {self._bounds.output_bytes} bytes of output")
                self._tick()
        finally:
            gone.cancel()

    def _outcome(self, talk: "asyncio.Task[Turn]") -> Turn:
        error = talk.exception()
        if error is None:
            return talk.result()
        if isinstance(error, acp.RequestError):
            return Turn(Reason.CRASHED, f"the agent answered with an error: {error}")
        return Turn(Reason.CRASHED, f"the agent broke the protocol: {type(error).__name__}")


class _Client:
    """What the agent may ask of us: permissions, and files of its worktree."""

    def __init__(self, worktree: Path, frozen: Sequence[str], record: Record) -> None:
        self._worktree = worktree
        self._frozen = frozen
        self._record = record
        self.said: list[str] = []

    def on_connect(self, conn: Any) -> None:
        """Nothing to do when the connection stands."""

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        """Record what the agent tells."""
        del session_id
        if isinstance(update, schema.AgentMessageChunk) and isinstance(update.content, schema.TextContentBlock):
            self.said.append(update.content.text)
        self._record({"event": "update", "update": update.model_dump(mode="json", by_alias=True, exclude_none=True)})

    async def request_permission(self, session_id: str, tool_call: Any, options: list[Any], **_: Any) -> Any:
        """Allow once what stays inside the worktree and off its frozen paths; reject the rest."""
        del session_id
        places = [location.path for location in tool_call.locations or []]
        problem = "" if tool_call.kind not in _EDITS or places else "an edit that names no file"
        for place in places:
            try:
                writable(self._worktree, place, self._frozen)
            except Refused as refused:
                problem = str(refused)
        wanted = "allow_once" if not problem else "reject_once"
        chosen = next((option for option in options if option.kind == wanted), None)
        self._record({"event": "permission", "title": tool_call.title, "paths": places, "denied": problem})
        if chosen is None:
            return schema.RequestPermissionResponse(outcome=schema.DeniedOutcome(outcome="cancelled"))
        outcome = schema.AllowedOutcome(outcome="selected", option_id=chosen.option_id)
        return schema.RequestPermissionResponse(outcome=outcome)

    async def write_text_file(self, session_id: str, path: str, content: str, **_: Any) -> Any:
        """Write a file of the worktree for the agent."""
        del session_id
        try:
            target = writable(self._worktree, path, self._frozen)
            files.write_atomic(target, content.encode())
        except (Refused, MachineError) as error:
            self._record({"event": "write", "path": path, "denied": str(error)})
            raise acp.RequestError.invalid_params({"reason": str(error)}) from error
        self._record({"event": "write", "path": path, "denied": ""})
        return schema.WriteTextFileResponse()

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, **_: Any
    ) -> Any:
        """Read a file of the worktree for the agent."""
        del session_id
        try:
            text = files.read_text(writable(self._worktree, path, ()))
        except (Refused, InvalidInput) as error:
            raise acp.RequestError.invalid_params({"reason": str(error)}) from error
        lines = text.splitlines(keepends=True)[max(0, (line or 1) - 1) :]
        return schema.ReadTextFileResponse(content="".join(lines[:limit] if limit else lines))


def _usage(usage: Any) -> dict[str, int]:
    """Return what the protocol reports of tokens; nothing where the agent reports nothing."""
    if usage is None:
        return {}
    names = ("input_tokens", "output_tokens", "thought_tokens", "cached_read_tokens", "total_tokens")
    return {name: value for name in names if (value := getattr(usage, name)) is not None}
