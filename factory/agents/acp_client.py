"""What an agent may ask of us over ACP: permissions, and files of its worktree; what it tells is recorded."""

import shlex
from typing import Any

import acp
from acp import schema

from factory.agents import events
from factory.agents.permissions import Permissions, writable
from factory.agents.task import Record
from factory.errors import FactoryError
from factory.system import safe_path

_TOLD = ("title", "kind", "locations", "rawInput")
_EDITS = frozenset({"edit", "delete", "move"})
# Bytes of a file that an agent may read through us.
_LARGEST = 4 * 1024 * 1024


class Client:
    """Answers one agent; ``said`` is its message. While ``muted``, what it tells is passed over."""

    def __init__(self, permissions: Permissions, record: Record) -> None:
        self._permissions = permissions
        self._record = record
        self._known: dict[str, dict[str, Any]] = {}
        self.said: list[str] = []
        self.refused: list[str] = []
        self.muted = False

    @property
    def calls(self) -> int:
        """How many tool calls the agent began."""
        return len(self._known)

    def take_refused(self) -> list[str]:
        """Return what was refused since the last call."""
        found, self.refused = self.refused, []
        return found

    def on_connect(self, conn: Any) -> None:
        """Nothing to do when the connection stands."""

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        """Record what the agent tells; what a resumed agent tells again of its past is passed over."""
        del session_id
        if self.muted:
            return
        event = events.of_update(update.model_dump(mode="json", by_alias=True, exclude_none=True))
        if event["event"] == "message":
            self.said.append(event["text"])
        if event["event"] == "tool":
            told = {name: value for name in _TOLD if (value := event["raw"].get(name))}
            self._known[event["id"]] = self._known.get(event["id"], {}) | told
        self._record(event)

    async def request_permission(self, session_id: str, tool_call: Any, options: list[Any], **_: Any) -> Any:
        """Allow once what policy lets through; reject the rest, and say why in the record."""
        del session_id
        # Some agents name the call alone, and have told what it is before.
        known = self._known.get(tool_call.tool_call_id, {})
        places = [location.path for location in tool_call.locations or []]
        places = places or [str(location.get("path", "")) for location in known.get("locations", [])]
        command = _command(tool_call.raw_input) or _command(known.get("rawInput"))
        title = tool_call.title or known.get("title") or ""
        problem = self._problem(tool_call.kind or known.get("kind"), places, command)
        wanted = "allow_once" if not problem else "reject_once"
        chosen = next((option for option in options if option.kind == wanted), None)
        told = {"title": title, "paths": places, "command": command, "denied": problem}
        self._record({"event": "permission", **told})
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
