"""Answers an agent's requests over ACP (permissions, files of its worktree) and records its updates."""

import shlex
from typing import Any

import acp
from acp import schema

from factory.agents import events
from factory.agents.permissions import Permissions, writable
from factory.agents.task import Record
from factory.errors import FactoryError
from factory.system import safe_path

_RECORDED = ("title", "kind", "locations", "rawInput")
_EDITS = frozenset({"edit", "delete", "move"})
# Bytes of a file that an agent may read over ACP.
_LARGEST = 4 * 1024 * 1024


class Client:
    """Answers one agent; ``said`` collects its message texts. While ``muted``, its updates are ignored."""

    def __init__(self, permissions: Permissions, record: Record) -> None:
        self._permissions = permissions
        self._record = record
        self._known: dict[str, dict[str, Any]] = {}
        self.said: list[str] = []
        self.refused: list[str] = []
        self.muted = False

    @property
    def calls(self) -> int:
        """Return how many tool calls the agent began."""
        return len(self._known)

    def take_refused(self) -> list[str]:
        """Return the requests refused since the last call."""
        found, self.refused = self.refused, []
        return found

    def on_connect(self, conn: Any) -> None:
        """Do nothing; the SDK requires this method."""

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        """Record an update of the agent, except while a resumed agent replays its history."""
        del session_id
        if self.muted:
            return
        event = events.of_update(update.model_dump(mode="json", by_alias=True, exclude_none=True))
        if event["event"] == "message":
            self.said.append(event["text"])
        if event["event"] == "tool":
            details = {name: value for name in _RECORDED if (value := event["raw"].get(name))}
            self._known[event["id"]] = self._known.get(event["id"], {}) | details
        self._record(event)

    async def request_permission(self, session_id: str, tool_call: Any, options: list[Any], **_: Any) -> Any:
        """Allow a request once if policy permits it, else reject it once; record the decision with its reason."""
        del session_id
        # Some agents send only the call's id here, and its details in an earlier update.
        known = self._known.get(tool_call.tool_call_id, {})
        places = [location.path for location in tool_call.locations or []]
        places = places or [str(location.get("path", "")) for location in known.get("locations", [])]
        command = _command(tool_call.raw_input) or _command(known.get("rawInput"))
        title = tool_call.title or known.get("title") or ""
        problem = self._problem(tool_call.kind or known.get("kind"), places, command)
        answer = "allow_once" if not problem else "reject_once"
        chosen = next((option for option in options if option.kind == answer), None)
        decision = {"title": title, "paths": places, "command": command, "denied": problem}
        self._record({"event": "permission", **decision})
        if problem:
            self.refused.append(f"{command or title or 'a request'} ({problem})")
        if chosen is None:
            return schema.RequestPermissionResponse(outcome=schema.DeniedOutcome(outcome="cancelled"))
        outcome = schema.AllowedOutcome(outcome="selected", option_id=chosen.option_id)
        return schema.RequestPermissionResponse(outcome=outcome)

    async def write_text_file(self, session_id: str, path: str, content: str, **_: Any) -> Any:
        """Write a file of the worktree for the agent."""
        del session_id
        problem = self._permissions.edit(path)
        if not problem:
            try:
                self._write(path, content)
            except FactoryError as error:
                problem = str(error)
        self._record({"event": "write", "path": path, "denied": problem})
        if problem:
            raise acp.RequestError.invalid_params({"reason": problem})
        return schema.WriteTextFileResponse()

    async def read_text_file(
        self, session_id: str, path: str, line: int | None = None, limit: int | None = None, **_: Any
    ) -> Any:
        """Read a file of the worktree for the agent."""
        del session_id
        worktree = self._permissions.worktree
        try:
            found = safe_path.read(worktree.resolve(), writable(worktree, path, ()), limit=_LARGEST)
        except FactoryError as error:
            raise acp.RequestError.invalid_params({"reason": str(error)}) from error
        text = found.decode(errors="replace")
        lines = text.splitlines(keepends=True)[max(0, (line or 1) - 1) :]
        return schema.ReadTextFileResponse(content="".join(lines[:limit] if limit else lines))

    def _write(self, path: str, content: str) -> None:
        worktree = self._permissions.worktree
        safe_path.write(worktree.resolve(), writable(worktree, path, ()), content.encode(errors="replace"))

    def _problem(self, kind: str | None, places: list[str], command: str) -> str:
        if kind in _EDITS:
            problems = [self._permissions.edit(place) for place in places] or ["an edit that names no file"]
            return next((problem for problem in problems if problem), "")
        return self._permissions.run(command) if command else ""


def _command(raw: Any) -> str:
    """Return the command line that a tool call carries, if any."""
    found = raw.get("command") or raw.get("cmd") if isinstance(raw, dict) else None
    if isinstance(found, list):
        return shlex.join(str(word) for word in found)
    return found if isinstance(found, str) else ""
