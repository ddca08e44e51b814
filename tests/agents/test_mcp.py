"""The MCP server: the messages of the specification, and whatever else a client may send."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factory.agents import mcp, outputs
from factory.agents.outputs import Request
from factory.errors import MachineError
from factory.system import mcp as server
from tests.servers import PATIENCE, TOOL_ENV


def call(method: str, params: Any = None, *, number: Any = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def ask(line: bytes) -> tuple[Any, list[Request]]:
    asked: list[Request] = []
    return server.handle(line, mcp.tools(asked.append)), asked


def tool(name: str, **arguments: Any) -> tuple[Any, list[Request]]:
    answer, asked = ask(call("tools/call", {"name": name, "arguments": arguments}))
    return answer.get("result", answer), asked


def test_initialize_agrees_on_a_version() -> None:
    for wanted, given_ in (("2025-06-18", "2025-06-18"), ("2024-11-05", "2024-11-05"), ("1999", "2025-06-18")):
        answer = ask(call("initialize", {"protocolVersion": wanted}))[0]["result"]
        assert answer["protocolVersion"] == given_
        assert answer["capabilities"] == {"tools": {}}
        assert answer["serverInfo"]["name"] == "factory"


def test_every_kind_is_a_tool_with_a_strict_schema() -> None:
    tools = ask(call("tools/list"))[0]["result"]["tools"]
    assert [item["name"] for item in tools] == list(outputs.KINDS)
    assert all("why" in item["inputSchema"]["required"] for item in tools)
    assert not any(item["inputSchema"]["additionalProperties"] for item in tools)
    assert not any(item["annotations"]["readOnlyHint"] for item in tools)


def test_a_call_makes_one_request() -> None:
    answer, asked = tool("follow_up", title="Greet in Dutch", text="Later.", why="asked for on the way", id="mine")
    assert not answer["isError"]
    assert asked == [outputs.FollowUp("mine", "asked for on the way", "Greet in Dutch", "Later.")]


def test_wrong_arguments_are_told_and_ask_for_nothing() -> None:
    for arguments in ({}, {"why": "x"}, {"why": "x", "text": 1}, {"why": "x", "text": "y", "issue": "7"}):
        answer, asked = tool("comment", **arguments)
        assert answer["isError"]
        assert asked == []
    assert tool("comment", why="x", text="y", kind="done")[1][0].kind == "comment"


def test_a_request_that_cannot_be_kept_is_told() -> None:
    def full(_: Request) -> None:
        raise MachineError("no space left")

    answer = server.handle(call("tools/call", {"name": "done", "arguments": {"why": "x"}}), mcp.tools(full))
    assert answer is not None
    assert answer["result"] == {"content": [{"type": "text", "text": "no space left"}], "isError": True}


def test_errors_have_the_codes_of_json_rpc() -> None:
    for line, code in (
        (b"nonsense", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        (b"x" * (1024 * 1024 + 1), -32600),
        (call("resources/list"), -32601),
        (call("tools/call", {"name": "merge", "arguments": {}}), -32602),
        (call("tools/call", {"name": "done", "arguments": []}), -32602),
        (call("tools/call"), -32602),
    ):
        assert ask(line)[0]["error"]["code"] == code, line[:60]


def test_notifications_responses_and_empty_lines_are_not_answered() -> None:
    for line in (b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', b'{"jsonrpc": "2.0", "id": 1}', b"\n"):
        assert ask(line) == (None, [])


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_line_is_answered_by_an_object_or_not_at_all(line: bytes | str) -> None:
    answer, asked = ask(line.encode() if isinstance(line, str) else line)
    assert asked == []
    assert answer is None or answer["jsonrpc"] == "2.0"


def test_a_conversation_goes_on_after_nonsense() -> None:
    target = io.BytesIO()
    server.serve(io.BytesIO(b"{\n" + call("ping", number="two")), target, mcp.tools(lambda _: None))
    answers = [json.loads(line) for line in target.getvalue().splitlines()]
    assert answers[1] == {"jsonrpc": "2.0", "id": "two", "result": {}}


def test_the_commands_only_append_to_the_file_they_are_given(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    command = [sys.executable, "-P", "-m", "factory"]

    def run(*arguments: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *arguments],
            input=stdin,
            env=TOOL_ENV | env,
            cwd=tmp_path,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    assert run("output", "done", "--why", "x").returncode == 5
    assert run("output", "done", FACTORY_OUTPUTS=str(path)).returncode == 2
    assert run("output", "comment", " ", "--why", "x", FACTORY_OUTPUTS=str(path)).returncode == 3
    assert run("output", "follow-up", "A title", "A text", "--why", "x", FACTORY_OUTPUTS=str(path)).returncode == 0
    message = call("tools/call", {"name": "done", "arguments": {"why": "all tests pass"}})
    done = run("agent", "mcp", stdin=call("initialize", {}) + message, FACTORY_OUTPUTS=str(path))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 1]
    assert [request.kind for request in outputs.read(path).requests] == ["follow_up", "done"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["outputs"]
