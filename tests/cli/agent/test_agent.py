"""``factory agent list`` and ``doctor``: the agents of policy, and real ones tried out on the stub model."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.cli.agent import report
from factory.cli.current import open_workspace
from factory.errors import GateFailed, NotFound
from factory.instance.workspace import Workspace
from factory.policies.folder import read_folder
from factory.sandbox import launch
from factory.sandbox.launch import Level
from tests.instances import Instance, make_instance
from tests.servers import ROOT, TOOL_PATH, wait_for

KEY = "sk-proj-planted000000000000000000000000"
# Which installed agents are tried; naming all takes longer: FACTORY_TRY_AGENTS=codex,claude,opencode
TRIED = os.environ.get("FACTORY_TRY_AGENTS", "codex").split(",")
needs_bubblewrap = pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
needs_agents = pytest.mark.skipif(
    not (ROOT / ".tools/agents/bin/codex-acp").exists(), reason="needs the coding agents: `factory setup --agents`"
)
# A program that takes a brief and asks its model once, as plain tools do; ``{more}`` is what else it does.
COMMAND = r"""
import json, os, pathlib, subprocess, sys, urllib.request
body = {{"model": "stub", "messages": [{{"role": "user", "content": pathlib.Path(sys.argv[1]).read_text()}}]}}
headers = {{"Content-Type": "application/json", "Authorization": "Bearer stand-in"}}
url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
asked = urllib.request.Request(url, json.dumps(body).encode(), headers)
said = json.load(urllib.request.urlopen(asked))["choices"][0]["message"]["content"]
name, text = said.split("\n", 1)[0], said.split("=======\n", 1)[1].split(">>>>>>>", 1)[0]
pathlib.Path(name).write_text(text)
{more}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return make_instance(tmp_path_factory.mktemp("agent"))


@pytest.fixture
def workspace(made: Instance, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(made.clone)
    return replace(open_workspace(None), environment={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})


def answers(tried: Mapping[str, Any]) -> dict[str, str]:
    return {cell["ability"]: cell["answer"] for cell in tried["cells"]}


def test_the_list_shows_what_is_installed_and_no_credential(made: Instance) -> None:
    shown = made.run("agent", "list", "--json", OPENAI_API_KEY=KEY).stdout
    assert KEY not in shown
    found = {item["name"]: item for item in json.loads(shown)}
    assert (found["replay"]["default"], found["replay"]["credential"]) == ("default", "not needed")
    assert found["codex"]["credential"] == "OPENAI_API_KEY set"
    assert found["claude"]["credential"] == "ANTHROPIC_API_KEY missing"
    assert (found["opencode"]["stronger"], found["codex"]["instead"]) == ("codex", "claude")
    assert found["aider"]["installed"] in {"yes", "no: pipx install aider-chat"}
    table = made.run("agent", "list").stdout
    assert "codex-acp 2.6.0" in table


@pytest.mark.long
@needs_bubblewrap
@needs_agents
def test_real_agents_and_the_replay_agent_have_the_claimed_capabilities(made: Instance) -> None:
    done = made.run("agent", "doctor", "replay", *TRIED, "--json", OPENAI_API_KEY=KEY)
    found = {item["name"]: item for item in json.loads(done.stdout)}
    assert KEY not in done.stdout + done.stderr
    for name in TRIED:
        assert set(answers(found[name]).values()) == {"yes"}, found[name]
    assert "codex-acp 2.6.0" in found[TRIED[0]]["version"] or TRIED[0] != "codex"
    replayed = answers(found["replay"])
    assert {name for name, answer in replayed.items() if answer == "yes"} == {
        "starts", "edits", "usage", "asks", "contained",
    }  # fmt: skip
    assert all(item["broken"] == [] for item in found.values())


def trial(workspace: Workspace, more: str = "", *, sandbox: Level = Level.BWRAP) -> report.TrialRow:
    """Try out an agent of the protocol ``command`` that also does ``more``."""
    policies = read_folder(workspace.settings.clone)
    argv = (sys.executable, "-c", COMMAND.format(more=more), "{brief}")
    plain = policies.agents.agents["aider"].model_copy(
        update={"command": argv, "capabilities": ("edit",), "sandbox": sandbox}
    )
    agents = policies.agents.model_copy(update={"agents": {"plain": plain}})
    return report.trial(workspace, policies.model_copy(update={"agents": agents}), "plain")


@needs_bubblewrap
def test_a_plain_command_is_judged_by_its_diff(workspace: Workspace) -> None:
    tried = trial(workspace)
    found = {cell.ability: cell.answer for cell in tried.cells}
    assert {name for name, answer in found.items() if answer == "yes"} == {"starts", "edits", "contained"}, tried
    assert set(found.values()) == {"yes", "not applicable"}
    report.require([tried])


@needs_bubblewrap
@pytest.mark.parametrize(
    ("more", "ability", "why"),
    [
        ("pathlib.Path('stray.txt').write_text('x')", "contained", "a commit would contain stray.txt"),
        (
            "try: urllib.request.urlopen('http://example.invalid/collect')\nexcept OSError: pass",
            "contained",
            "the agent requested example.invalid:80",
        ),
        ("sys.exit(3)", "starts", "crashed: the program ended with 3"),
    ],
    ids=["another file", "another host", "a crash"],
)
def test_a_required_ability_that_fails_is_reported_without_a_claim(
    workspace: Workspace, more: str, ability: str, why: str
) -> None:
    tried = trial(workspace, more)
    assert tried.broken == (ability,), tried
    with pytest.raises(GateFailed, match=ability):
        report.require([tried])
    assert f"plain {ability}: {why} (required)" in report.text([tried])


@pytest.mark.long
def test_leftover_processes_without_a_sandbox_are_named_and_killed(workspace: Workspace) -> None:
    bare = replace(workspace, environment={"PATH": "/nonexistent"})
    tried = trial(bare, "subprocess.Popen(['/bin/sleep', '321'], start_new_session=True)", sandbox=Level.HOST)
    assert tried.broken == ("contained",), tried
    assert "plain contained: still running: /bin/sleep 321" in report.text([tried])
    wait_for(lambda: not any(b"sleep\x00321" in line for line in command_lines()))


def test_an_agent_whose_sandbox_level_cannot_be_reached_is_not_started(workspace: Workspace) -> None:
    tried = trial(replace(workspace, environment={"PATH": "/nonexistent"}))
    assert "starts" in tried.broken
    assert "policy requires the sandbox level bwrap" in report.text([tried])


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


def test_missing_agents_are_listed_and_do_not_fail(workspace: Workspace) -> None:
    found = report.tried(replace(workspace, environment={"PATH": "/nonexistent"}), ["aider", "gemini"])
    assert [item.cells for item in found] == [(), ()]
    assert "aider: not installed: pipx install aider-chat" in report.text(found)
    report.require(found)
    with pytest.raises(NotFound, match="nobody"):
        report.tried(workspace, ["nobody"])
