"""The replay agent: an ACP agent that plays recorded turns, so that the demo, tests and evaluations need no model.

It works like any agent: it asks before it edits, it edits the worktree in which it was started, it writes requests to
the same file, and it knows only its brief.
"""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Any

import acp
from acp import schema

from factory import __version__
from factory.agents import outputs, recording
from factory.agents.recording import Attempt, Tokens
from factory.errors import FactoryError, InvalidInput
from factory.model.agent import Reason
from factory.system import process

_OUTPUTS = "FACTORY_OUTPUTS"


def recording_for(brief: str, folder: Path | None = None) -> tuple[str, Attempt] | None:
    """Return the name of the recording that matches a brief, and its attempt for the brief; or ``None``.

    Searches ``folder``, or the recordings in this package. Raises ``InvalidInput`` for an invalid recording.
    """
    shipped = resources.files("factory.agents.recordings").iterdir()
    entries: list[Any] = [*(shipped if folder is None else folder.iterdir())]
    found = recording.fitting(
        [
            (str(entry.name), recording.read(entry.read_bytes(), source=str(entry.name)))
            for entry in sorted(entries, key=lambda item: str(item.name))
            if entry.name.endswith(".json")
        ],
        brief,
    )
    number = recording.attempt_of(brief)
    if found is None or not 1 <= number <= len(found[1].attempts):
        return None
    return found[0], found[1].attempts[number - 1]


class ReplayAgent:
    """Plays the recording that fits its brief."""

    def __init__(self, environment: dict[str, str], recordings: Path | None = None) -> None:
        self._environment = environment
        self._recordings = recordings
        self._client: Any = None
        self._cwd = ""

    def on_connect(self, conn: Any) -> None:
        """Keep the connection to the client."""
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> Any:
        """Return the agent's name and version."""
        return schema.InitializeResponse(
            protocol_version=protocol_version,
            agent_info=schema.Implementation(name="replay", version=__version__),
        )

    async def new_session(self, cwd: str, **_: Any) -> Any:
        """Begin a session in a folder."""
        self._cwd = cwd
        return schema.NewSessionResponse(session_id="replay")

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> Any:
        """Play the attempt for this brief; without a recording, send a message and change nothing."""
        brief = "".join(block.text for block in prompt if isinstance(block, schema.TextContentBlock))
        try:
            found = recording_for(brief, self._recordings)
        except (FactoryError, OSError) as error:
            await self._say(session_id, f"I cannot read my recordings, so I change nothing: {error}")
            return schema.PromptResponse(stop_reason="refusal")
        if found is None:
            await self._say(session_id, "I have no recording for this brief, so I change nothing.")
            return schema.PromptResponse(stop_reason="refusal")
        attempt, used = found[1], Tokens()
        for number, turn in enumerate(attempt.turns, 1):
            if turn.say:
                await self._say(session_id, turn.say + "\n")
            if turn.patch and not await self._edit(session_id, f"edit-{number}", turn.patch):
                return schema.PromptResponse(stop_reason="refusal", usage=_usage(used))
            used += turn.usage
        if attempt.question and f"Question: {attempt.question}" not in attempt.says:
            await self._say(session_id, f"\nQuestion: {attempt.question}\n")
        if _OUTPUTS in self._environment:
            for request in attempt.outputs:
                outputs.append(Path(self._environment[_OUTPUTS]), request)
        if attempt.reason == Reason.BLOCKED:
            return schema.PromptResponse(stop_reason="refusal", usage=_usage(used))
        return schema.PromptResponse(stop_reason="end_turn", usage=_usage(used))

    async def cancel(self, session_id: str, **_: Any) -> None:
        """Do nothing: a replay ends quickly."""

    async def _say(self, session_id: str, text: str) -> None:
        await self._client.session_update(session_id=session_id, update=acp.update_agent_message_text(text))

    async def _edit(self, session_id: str, call: str, patch: str) -> bool:
        """Request the edit, apply it with ``git apply``, report it; return false if it is refused or does not apply."""
        paths = recording.paths(patch)
        locations = [schema.ToolCallLocation(path=path) for path in paths]
        title = f"Edit {', '.join(paths)}"
        start = acp.start_tool_call(call, title, kind="edit", status="pending", locations=locations)
        await self._client.session_update(session_id=session_id, update=start)
        answer = await self._client.request_permission(
            session_id=session_id,
            tool_call=schema.ToolCallUpdate(tool_call_id=call, title=title, kind="edit", locations=locations),
            options=[
                schema.PermissionOption(option_id="yes", name="Allow", kind="allow_once"),
                schema.PermissionOption(option_id="no", name="Reject", kind="reject_once"),
            ],
        )
        allowed = isinstance(answer.outcome, schema.AllowedOutcome) and answer.outcome.option_id == "yes"
        problem = "" if allowed else "The edit was refused."
        if allowed:
            problem = self._apply(patch)
        done = acp.update_tool_call(call, status="failed" if problem else "completed")
        await self._client.session_update(session_id=session_id, update=done)
        if problem:
            await self._say(session_id, problem)
        return not problem

    def _apply(self, patch: str) -> str:
        try:
            process.run(["git", "apply", "--recount", "-"], cwd=None, env=self._env(), stdin=patch.encode())
        except FactoryError as error:
            return f"The recorded patch does not apply to this worktree: {error}"
        return ""

    def _env(self) -> dict[str, str]:
        return {**self._environment, "GIT_CEILING_DIRECTORIES": self._cwd}


def _usage(tokens: Tokens) -> Any:
    return schema.Usage(
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        total_tokens=tokens.input + tokens.output,
        cached_read_tokens=tokens.cached or None,
        thought_tokens=tokens.thought or None,
    )


def main(environment: dict[str, str], recordings: Path | None = None) -> None:
    """Serve one client on standard input and output."""
    if "PATH" not in environment:
        raise InvalidInput("the replay agent needs PATH in its environment")
    agent: Any = ReplayAgent(environment, recordings)  # the SDK detects an agent's abilities by its methods
    asyncio.run(acp.run_agent(agent))
