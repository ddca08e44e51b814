"""An agent in a few lines that does what a test says, on the real protocol, and its run.

``WHAT`` is executed at each prompt, with ``text`` the prompt and ``number`` counted from 1; ``stop`` is its stop reason
and ``usage`` what it reports.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory.agents import acp
from factory.agents.attempt_limits import Bounds
from factory.agents.permissions import Permissions
from factory.agents.task import Ending, Task
from factory.model.agent import Turn
from factory.sandbox.launch import Level, PreparedLaunch
from tests.servers import TOOL_ENV

BOUNDS = Bounds(turn_seconds=20, silence_seconds=10, output_bytes=5_000_000, grace_seconds=1)

AGENT = """
import json, queue, sys, threading, time
box, answers, cancels = queue.Queue(), queue.Queue(), threading.Event()
def listen():
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "session/cancel": cancels.set()
        elif "method" in message: box.put(message)
        else: answers.put(message)
    box.put(None)
threading.Thread(target=listen, daemon=True).start()
def send(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def ask(method, params, id=99):
    send({"id": id, "method": method, "params": params})
    return answers.get()
def update(**fields): send({"method": "session/update", "params": {"sessionId": "s", "update": fields}})
def say(text): update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})
def tool(name, **fields): update(sessionUpdate="tool_call", toolCallId=name, title=name, **fields)
OPTIONS = [{"optionId": "y", "name": "yes", "kind": "allow_once"}]
OPTIONS += [{"optionId": "n", "name": "no", "kind": "reject_once"}]
def permit(**call):
    answer = ask("session/request_permission", {"sessionId": "s", "toolCall": call, "options": OPTIONS})
    return answer["result"]["outcome"].get("optionId")
def replay(): pass
CAPABILITIES, number = {}, 0
exec(sys.argv[1])
while (message := box.get()) is not None:
    method, name, params = message["method"], message.get("id"), message.get("params")
    if method == "initialize":
        send({"id": name, "result": {"protocolVersion": 1, "agentCapabilities": CAPABILITIES}})
    elif method == "session/new": send({"id": name, "result": {"sessionId": "s"}})
    elif method in ("session/load", "session/resume"):
        replay()
        send({"id": name, "result": {}})
    elif method == "session/prompt":
        number += 1
        text, stop, usage = params["prompt"][0]["text"], "end_turn", None
        cancels.clear()
        exec(sys.argv[2])
        send({"id": name, "result": {"stopReason": stop, "usage": usage}})
"""

Tick = Callable[[], Ending | None]


def run(
    folder: Path, what: str, *, bounds: Bounds = BOUNDS, before: str = "", tick: Tick = lambda: None, **task: Any
) -> tuple[Turn, list[Any]]:
    """Run the agent in ``folder/work``; return how its attempt ended and every event."""
    worktree = folder / "work"
    worktree.mkdir(exist_ok=True)
    events: list[Any] = []
    prepared = PreparedLaunch((sys.executable, "-c", AGENT, before, what), worktree, TOOL_ENV, Level.HOST)
    given = Task("the brief", worktree, Permissions(worktree, ("policies", ".git"), deny=("git push*",)), bounds)
    with (folder / "errors").open("wb") as errors:
        ended = acp.run(prepared, replace(given, **task), record=events.append, errors=errors, tick=tick)
    json.dumps(events)
    return ended, events


def named(events: list[Any], kind: str) -> list[Any]:
    """Return the events of a kind."""
    return [event for event in events if event["event"] == kind]
