"""The replay agent: an ACP agent that plays recorded turns, so that demo and tests need no model.

A recording is a JSON file: the spec it answers, and for each attempt a list of turns, each with something it says,
a patch it makes, and the tokens that turn once cost. It works like any agent: it asks before it edits, it edits the
worktree that it is started in, and it knows nothing but its brief.
"""

import asyncio
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import acp
from acp import schema

from factory import __version__
from factory.errors import FactoryError, InvalidInput
from factory.system import process

_SPEC = re.compile(r"^Spec: (\S+)$", re.MULTILINE)
_ATTEMPT = re.compile(r"^Attempt: (\d+)$", re.MULTILINE)
_TARGET = re.compile(r"^\+\+\+ b/(.+)$", re.MULTILINE)


def recording_for(brief: str, folder: Path | None = None) -> tuple[str, list[dict[str, Any]]] | None:
    """Return name and turns of the recording that answers a brief, or ``None``; by default among those that ship."""
    spec, attempt = _SPEC.search(brief), _ATTEMPT.search(brief)
    shipped = resources.files("factory.agents.recordings").iterdir()
    found: list[Any] = [*(shipped if folder is None else folder.iterdir())]
    for entry in sorted(found, key=lambda item: str(item.name)):
        if not entry.name.endswith(".json"):
            continue
        recording = json.loads(entry.read_text())
        if spec and attempt and recording["spec"] == spec.group(1) and recording["title"] in brief:
            attempts = recording["attempts"]
            number = int(attempt.group(1))
            return (entry.name, attempts[number - 1]["turns"]) if number <= len(attempts) else None
    return None


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
        """Say who this is."""
        return schema.InitializeResponse(
            protocol_version=protocol_version,
            agent_info=schema.Implementation(name="replay", version=__version__),
        )

    async def new_session(self, cwd: str, **_: Any) -> Any:
        """Begin in a folder."""
        self._cwd = cwd
        return schema.NewSessionResponse(session_id="replay")

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> Any:
        """Play the turns for this brief; without a recording, say so and change nothing."""
        brief = "".join(block.text for block in prompt if isinstance(block, schema.TextContentBlock))
        found = recording_for(brief, self._recordings)
        if found is None:
            await self._say(session_id, "I have no recording that answers this brief, so I change nothing.")
            return schema.PromptResponse(stop_reason="refusal")
        tokens = [0, 0]
        for number, turn in enumerate(found[1], 1):
            if turn.get("say"):
                await self._say(session_id, turn["say"] + "\n")
            if turn.get("patch") and not await self._edit(session_id, f"edit-{number}", turn["patch"]):
                return schema.PromptResponse(stop_reason="refusal", usage=_usage(tokens))
            tokens = [tokens[0] + turn["usage"]["input"], tokens[1] + turn["usage"]["output"]]
        return schema.PromptResponse(stop_reason="end_turn", usage=_usage(tokens))

    async def cancel(self, session_id: str, **_: Any) -> None:
        """Playing is quick; there is nothing to cancel."""

    async def _say(self, session_id: str, text: str) -> None:
        await self._client.session_update(session_id=session_id, update=acp.update_agent_message_text(text))

    async def _edit(self, session_id: str, call: str, patch: str) -> bool:
        """Ask for the edit, make it with ``git apply``, report it; false where it is refused or does not fit."""
        paths = _TARGET.findall(patch)
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
            return f"The recorded patch does not fit this worktree: {error}"
        return ""

    def _env(self) -> dict[str, str]:
        return {**self._environment, "GIT_CEILING_DIRECTORIES": self._cwd}


def _usage(tokens: list[int]) -> Any:
    return schema.Usage(input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens))


def main(environment: dict[str, str], recordings: Path | None = None) -> None:
    """Serve one client on standard input and output."""
    if "PATH" not in environment:
        raise InvalidInput("the replay agent needs PATH in its environment")
    agent: Any = ReplayAgent(environment, recordings)  # the SDK finds what an agent offers by its methods
    asyncio.run(acp.run_agent(agent))
