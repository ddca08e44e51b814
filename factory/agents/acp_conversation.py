"""Conducts an ACP session with an agent: opens or resumes the session, sends prompts, and reads how each turn ended."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import acp
from acp import schema

from factory import __version__
from factory.agents import token_costs
from factory.agents.acp_client import Client
from factory.agents.task import Record, Tool
from factory.model.agent import Reason, Turn

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
# Errors of a call to a peer that exited, does not answer or answers nonsense; ignored if nobody needs the answer.
BROKEN = (OSError, TimeoutError, RuntimeError, acp.RequestError)


@dataclass(frozen=True)
class Opening:
    """How to open a session: its folder, mode and tools, and the id of the agent's session to resume, if any."""

    folder: str
    mode: str
    resume: str
    tools: Sequence[Tool]


class Conversation:
    """One agent's session; ``usage`` is the usage it reported, ``sent`` the number of characters sent to it."""

    def __init__(self, connection: Any, client: Client, record: Record, opening: Opening) -> None:
        self._connection = connection
        self._client = client
        self._record = record
        self._opening = opening
        self._near: tuple[Reason, str] | None = None
        self._stopped = False
        self.session = ""
        self.usage: dict[str, int] = {}
        self.sent = 0

    async def hold(self, brief: str) -> Turn:
        """Open the session, send the brief, and return how the agent's turn ended."""
        started = await self._connection.initialize(
            protocol_version=acp.PROTOCOL_VERSION,
            client_capabilities=schema.ClientCapabilities(
                fs=schema.FileSystemCapabilities(read_text_file=True, write_text_file=True)
            ),
            client_info=schema.Implementation(name="factory", version=__version__),
        )
        info = started.agent_info
        name, version = (info.name, info.version) if info else ("", "")
        self._record({"event": "agent", "name": name, "version": version, "protocol": started.protocol_version})
        await self._open(started.agent_capabilities)
        turn = await self._prompt(brief)
        again = 0
        while turn.reason is Reason.CANCELLED_BY_HUMAN and not self._stopped:
            if self._near is not None:
                reason, limit = self._near
                self._near = None
                return replace(await self._prompt(_WRAP_UP.format(limit=limit)), reason=reason, detail=limit)
            # Some agents end their turn after a refused request, without a message to their model.
            if not self._client.refused:
                break
            refused = "; ".join(self._client.take_refused())
            if again >= _MOST_REFUSALS:
                return Turn(Reason.BLOCKED, f"the agent keeps requesting what is refused: {refused[:300]}")
            again += 1
            turn = await self._prompt(_REFUSED.format(what=refused))
        return turn

    async def _open(self, can: Any) -> None:
        """Resume the agent's session if the agent can, else begin a new one; then set the session's mode."""
        opening = self._opening
        tools: list[Any] = [
            schema.McpServerStdio(
                name=tool.name,
                command=tool.command,
                args=list(tool.arguments),
                env=[schema.EnvVariable(name=name, value=value) for name, value in tool.env],
            )
            for tool in opening.tools
        ]
        # ACP: `session/resume` and `session/load` are capabilities of their own; the first repeats no history.
        resumes = (
            can is not None and can.session_capabilities is not None and can.session_capabilities.resume is not None
        )
        if opening.resume and can is not None and (resumes or can.load_session):
            begin = self._connection.resume_session if resumes else self._connection.load_session
            self._client.muted = True
            try:
                await begin(cwd=opening.folder, session_id=opening.resume, mcp_servers=tools)
                self.session = opening.resume
            except acp.RequestError as error:
                self._record({"event": "notice", "text": f"the agent cannot resume {opening.resume}: {error}"})
            self._client.muted = False
        if not self.session:
            created = await self._connection.new_session(cwd=opening.folder, mcp_servers=tools)
            self.session = created.session_id
        # A crash of the factory leaves nothing else from which the next run can resume it.
        self._record({"event": "session", "id": self.session})
        if opening.mode:
            await self._connection.set_session_mode(session_id=self.session, mode_id=opening.mode)

    async def _prompt(self, text: str) -> Turn:
        self._record({"event": "prompt", "text": text})
        self.sent += len(text)
        answer = await self._connection.prompt(session_id=self.session, prompt=[acp.text_block(text)])
        used = _usage(answer.usage)
        self._record({"event": "answer", "stop": answer.stop_reason, "usage": used})
        self.usage = token_costs.add(self.usage, used)
        return Turn(_STOPS.get(answer.stop_reason, Reason.CRASHED), f"the agent stopped: {answer.stop_reason}")

    async def save(self, near: tuple[Reason, str]) -> None:
        """Cancel the agent's current prompt, so that ``hold`` asks it to save its work: a limit is near."""
        self._near = near
        await self.cancel()

    async def cancel(self) -> None:
        """Cancel the agent's current prompt."""
        if self.session:
            with suppress(*BROKEN):
                async with asyncio.timeout(1):
                    await self._connection.cancel(session_id=self.session)

    async def stop(self) -> None:
        """Cancel the agent's current prompt and send no further prompt."""
        self._stopped = True
        await self.cancel()


def _usage(usage: Any) -> dict[str, int]:
    """Return the tokens that the agent reports for one prompt, as ``token_costs`` counts them; empty if none.

    ACP's total is the sum of all types (schema: Usage). Agents differ in whether their input includes what is cached,
    and their output the thoughts, so that the total decides.
    """
    if usage is None:
        return {}
    names = ("input_tokens", "output_tokens", "thought_tokens", "cached_read_tokens", "cached_write_tokens")
    found = {name: value for name in (*names, "total_tokens") if (value := getattr(usage, name)) is not None}
    apart = usage.total_tokens - usage.input_tokens - usage.output_tokens
    cached = (usage.cached_read_tokens or 0) + (usage.cached_write_tokens or 0)
    if cached <= apart or cached > usage.input_tokens:
        found["input_tokens"] += cached
        apart -= cached
    if (usage.thought_tokens or 0) <= apart:
        found["output_tokens"] += usage.thought_tokens or 0
    return found
