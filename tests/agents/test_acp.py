"""One turn with agents that behave in every way an agent can: real processes on the real protocol."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from factory.agents import acp
from factory.agents.attempt_limits import Bounds
from factory.agents.permissions import Permissions
from factory.agents.task import Task
from factory.model.agent import Reason, Turn
from factory.sandbox.launch import Level, PreparedLaunch
from factory.system import process
from tests.servers import TOOL_ENV, git, wait_for

BOUNDS = Bounds(turn_seconds=20, silence_seconds=10, output_bytes=5_000_000)

# An agent in thirty lines: what it does after the prompt is the argument.
AGENT = """
import json, sys, time
def send(message): print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def ask(method, params):
    send({"id": 99, "method": method, "params": params})
    while True:
        answer = json.loads(sys.stdin.readline())
        if answer.get("id") == 99 and "method" not in answer: return answer
for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "initialize": send({"id": number, "result": {"protocolVersion": 1}})
    elif method == "session/new": send({"id": number, "result": {"sessionId": "s"}})
    elif method == "session/prompt":
        what = sys.argv[1]
        exec(what)
        send({"id": number, "result": {"stopReason": globals().get("stop", "end_turn")}})
"""


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    (folder / "policies").mkdir()
    git("init", "-q", cwd=folder)
    return folder


def turn(worktree: Path, what: str, bounds: Bounds = BOUNDS, *, agent: str = AGENT) -> tuple[Turn, list[Any]]:
    events: list[Any] = []
    argv = (sys.executable, "-c", agent, what)
    with (worktree.parent / "errors").open("wb") as errors:
        task = Task("the brief", worktree, Permissions(worktree, ("policies", ".git")), bounds)
        prepared = PreparedLaunch(argv, worktree, TOOL_ENV, Level.HOST)
        ended = acp.run(prepared, task, record=events.append, errors=errors)
    return ended, events


def test_an_agent_that_ends_its_turn(worktree: Path) -> None:
    chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}
    say = f'send({{"method": "session/update", "params": {{"sessionId": "s", "update": {json.dumps(chunk)}}}}})'
    ended, events = turn(worktree, say)
    assert (ended.reason, ended.message) == (Reason.DONE_FOR_REVIEW, "hi")
    assert [event["event"] for event in events] == ["agent", "session", "prompt", "message", "answer", "end"]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [("refusal", Reason.BLOCKED), ("max_tokens", Reason.TURN_LIMIT), ("cancelled", Reason.CRASHED)],
)
def test_stop_reasons(worktree: Path, stop: str, reason: Reason) -> None:
    assert turn(worktree, f"stop = {stop!r}")[0].reason is reason


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "bounds", "reason"),
    [
        ("sys.exit(3)", BOUNDS, Reason.CRASHED),
        ("time.sleep(60)", Bounds(20, 0.5, 1000), Reason.STALLED),
        ("while True: print('{}', flush=True); time.sleep(0.05)", Bounds(1, 10, 100_000), Reason.TIMED_OUT),
        ("while True: sys.stdout.write('x' * 65536)", BOUNDS, Reason.CRASHED),
        ("print('not json', flush=True); sys.exit(0)", BOUNDS, Reason.CRASHED),
        ("print('[1, 2', flush=True); stop = 'no such reason'", BOUNDS, Reason.CRASHED),
        ("raise SystemExit", BOUNDS, Reason.CRASHED),
    ],
)
def test_agents_that_crash_hang_flood_or_talk_nonsense(
    worktree: Path, what: str, bounds: Bounds, reason: Reason
) -> None:
    ended, events = turn(worktree, what, bounds)
    assert ended.reason is reason, ended
    assert events[-1]["event"] == "end"


def test_nothing_of_the_agent_is_left_running(worktree: Path) -> None:
    marker = worktree.parent / "pid"
    what = f"import subprocess; p = subprocess.Popen(['sleep', '60']); open({str(marker)!r}, 'w').write(str(p.pid))"
    turn(worktree, what)
    wait_for(lambda: process.started_at(int(marker.read_text())) is None)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("a.txt", True),
        ("new/b.txt", True),
        ("policies/x.yml", False),
        ("POLICIES/x.yml", False),
        ("../out", False),
        ("/etc/x", False),
    ],
)
def test_writes_stay_inside_and_off_what_is_frozen(worktree: Path, path: str, allowed: bool) -> None:  # noqa: FBT001
    what = f'ask("fs/write_text_file", {{"sessionId": "s", "path": {path!r}, "content": "two"}})'
    _, events = turn(worktree, what)
    write = next(event for event in events if event["event"] == "write")
    assert (write["denied"] == "") is allowed
    assert (worktree / path).exists() is allowed or not allowed


def test_permission_is_given_once_or_rejected(worktree: Path) -> None:
    options = [
        {"optionId": "y", "name": "yes", "kind": "allow_once"},
        {"optionId": "n", "name": "no", "kind": "reject_once"},
    ]
    call = {"toolCallId": "1", "title": "Edit", "kind": "edit", "locations": [{"path": "PATH"}]}
    request = json.dumps({"sessionId": "s", "toolCall": call, "options": options})
    what = f'open("answer", "w").write(json.dumps(ask("session/request_permission", {request})))'
    for path, wanted in (("a.txt", "y"), ("policies/gates.yml", "n"), ("../../x", "n")):
        turn(worktree, what.replace("PATH", path))
        assert json.loads((worktree / "answer").read_text())["result"]["outcome"]["optionId"] == wanted


def test_a_symlink_out_of_the_worktree_is_not_followed(worktree: Path) -> None:
    (worktree / "link").symlink_to(worktree.parent)
    turn(worktree, 'ask("fs/write_text_file", {"sessionId": "s", "path": "link/escaped", "content": "x"})')
    assert not (worktree.parent / "escaped").exists()


def refusing(method: str, error: str) -> str:
    """Return an agent that answers a method with an error."""
    return AGENT.replace(
        '    if method == "initialize"',
        f"    if method == {method!r}: send({{'id': number, 'error': {error}}})\n    elif method == \"initialize\"",
    )


@pytest.mark.parametrize("method", ["initialize", "session/new", "session/prompt"])
@pytest.mark.parametrize(
    ("error", "reason", "told"),
    [
        ("{'code': -32000, 'message': 'Authentication required'}", Reason.AUTH_FAILED, "Authentication required"),
        (
            "{'code': -32603, 'message': 'Internal error', 'data': {'why': ['usage limit', {'at': 'again at 2:57'}]}}",
            Reason.CRASHED,
            "Internal error: usage limit: again at 2:57",
        ),
    ],
)
def test_what_an_agent_refuses_is_told_with_its_data(
    worktree: Path, method: str, error: str, reason: Reason, told: str
) -> None:
    ended = turn(worktree, "pass", agent=refusing(method, error))[0]
    assert (ended.reason, ended.detail) == (reason, f"the agent answered with an error: {told}")


@pytest.mark.parametrize("code", [0, 1, 3])
def test_an_agent_that_ends_is_told_by_its_exit_code(worktree: Path, code: int) -> None:
    ended = turn(worktree, f"sys.exit({code})")[0]
    assert (ended.reason, ended.detail) == (Reason.CRASHED, f"the agent ended with {code}")


def test_an_agent_that_is_killed_is_no_agent_that_crashed(worktree: Path) -> None:
    assert turn(worktree, "import os; os.kill(os.getpid(), 9)")[0].reason is Reason.KILLED


def test_a_stop_reason_that_the_protocol_lacks_is_named(worktree: Path) -> None:
    ended = turn(worktree, "stop = 'bored'")[0]
    assert ended.reason is Reason.CRASHED
    assert "stopReason" in ended.detail
