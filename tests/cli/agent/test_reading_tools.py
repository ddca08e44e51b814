"""``factory mcp``: its tools read and change nothing, whatever a client asks."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.cli.agent import reading_tools
from factory.config import load
from factory.instance.workspace import Workspace
from factory.system import mcp
from tests.instances import founded
from tests.servers import ROOT

ONLY = {"show", "list", "diff", "logs", "explain", "status", "why", "issue", "mr", "pipeline", "session", "deploy"}


def workspace(folder: Path) -> Workspace:
    env = {"HOME": str(folder), "XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin"}
    return Workspace(load(env, cwd=ROOT, flags={}), env, print)


def called(made: Workspace, name: str, **arguments: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = mcp.handle(json.dumps(body).encode(), reading_tools.tools(made))
    assert answer is not None
    return answer["result"]


def test_each_tool_runs_one_command_that_only_reads() -> None:
    for argv, _, _ in reading_tools.READS.values():
        assert set(argv) <= ONLY | {"policy", "gates"}, argv


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("merge_request", {}),
        ("merge_request", {"number": "7; factory mr approve 7"}),
        ("merge_request", {"number": "--help"}),
        ("merge_request", {"number": "7", "more": "x"}),
        ("status", {"number": "7"}),
        ("why", {"place": "--from=https://evil.example:1"}),
        ("may_change", {"path": "--mr"}),
        ("may_change", {"path": ["x"]}),
    ],
)
def test_other_arguments_are_told_and_run_nothing(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    answer = called(workspace(tmp_path), name, **arguments)
    assert answer["isError"], answer


@given(st.text(max_size=40))
def test_no_text_becomes_an_option(text: str) -> None:
    for pattern, _ in reading_tools.KINDS.values():
        if pattern.fullmatch(text):
            assert not text.startswith("-")
            assert "\n" not in text


@pytest.mark.long
@pytest.mark.matrix(4, group="flows")
def test_an_agent_reads_what_waits(tmp_path: Path) -> None:
    made = founded(tmp_path)
    try:
        made.run("issue", "new", "Greet a visitor by name", "--spec", "hello")
        env = made.env()
        here = Workspace(load(env, cwd=made.clone, flags={}), env, print)
        tools = mcp.handle(b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}', reading_tools.tools(here))
        assert tools is not None
        assert {item["name"] for item in tools["result"]["tools"]} >= {"status", "merge_request", "why"}
        assert all(item["annotations"]["readOnlyHint"] for item in tools["result"]["tools"])
        asked = ["status", "issue", "may_change"]
        lines = [
            called(here, asked[0]),
            called(here, asked[1], number="#1"),
            called(here, asked[2], path="specs/hello.md"),
        ]
        assert ["Greet a visitor" in item["content"][0]["text"] for item in lines] == [True, True, False]
        assert "scope.protected" in lines[2]["content"][0]["text"]
    finally:
        made.run("down", check=False)
