"""Converts ACP updates to the transcript's events, which are the same for every agent and protocol. Pure.

Each event is a JSON object with ``event``: ``agent`` (its reported name and version), ``prompt``, ``answer`` (how a
prompt ended), ``message``, ``thought``, ``plan``, ``tool``, ``permission``, ``write``, ``usage``, ``output``,
``notice``, ``person`` or ``end``. ``raw`` contains the original ACP update.
"""

from collections.abc import Mapping
from typing import Any

_LONGEST = 4000


def of_update(update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event for an ACP ``session/update``; an unknown kind becomes the event ``update``."""
    kind = str(update.get("sessionUpdate", ""))
    if kind in {"agent_message_chunk", "agent_thought_chunk", "user_message_chunk"}:
        name = {"agent_message_chunk": "message", "agent_thought_chunk": "thought"}.get(kind, "update")
        return {"event": name, "text": _text(update.get("content")), "raw": dict(update)}
    if kind in {"tool_call", "tool_call_update"}:
        return {
            "event": "tool",
            "id": str(update.get("toolCallId", "")),
            "title": str(update.get("title") or ""),
            "kind": str(update.get("kind") or ""),
            "status": str(update.get("status") or ""),
            "raw": dict(update),
        }
    if kind == "plan":
        entries = update.get("entries")
        steps = (
            [str(item.get("content", "")) for item in entries if isinstance(item, dict)]
            if isinstance(entries, list)
            else []
        )
        return {"event": "plan", "text": "; ".join(steps), "raw": dict(update)}
    if kind == "usage_update":
        return {"event": "usage", "context": update.get("used"), "size": update.get("size"), "raw": dict(update)}
    return {"event": "update", "kind": kind, "raw": dict(update)}


def line(event: Mapping[str, Any]) -> str:
    """Return one line for a person; empty for events that only programs need."""
    kind = str(event.get("event", ""))
    if kind in {"message", "thought", "plan", "notice", "output", "stderr"}:
        text = str(event.get("text", ""))[:_LONGEST]
        return f"{kind}  {text}" if text.strip() else ""
    if kind == "tool":
        words = (event.get("status"), event.get("kind"), event.get("title"))
        return "tool  " + " ".join(str(word) for word in words if word)
    if kind == "prompt":
        return "brief sent"
    if kind in {"update", "usage"}:
        return ""
    fields = {key: value for key, value in event.items() if key not in {"event", "time", "attempt", "raw"} and value}
    return f"{kind}  " + "  ".join(f"{key}={value}" for key, value in fields.items())


def _text(content: Any) -> str:
    return str(content.get("text", "")) if isinstance(content, Mapping) else ""
