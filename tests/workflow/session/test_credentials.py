"""The credential of an agent's model: keys and plans' logins, and one attempt at a time on a login of Codex."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import Unauthorized
from factory.model.agent import Reason
from factory.policies.agents import Agent
from factory.workflow.context import Context
from factory.workflow.session import credentials
from tests.secrets.test_codex_login import jwt, kept, login
from tests.servers import wait_for
from tests.workflow.recorded_gitlab import world

CANCELLED = (Reason.CANCELLED_BY_HUMAN, "cancel by me")
HOLDER = """
import sys, time
from pathlib import Path
from factory.system import files
with files.locked(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def context(tmp_path: Path) -> Context:
    made = world(tmp_path / "world", "claimed").context
    kept(tmp_path, login())
    person = {"CODEX_HOME": str(tmp_path), "HOME": str(tmp_path)}
    return replace(made, machine=replace(made.machine, person=person, logins=tmp_path / "logins"))


def subscribed(context: Context, name: str) -> Agent:
    agent = context.policies().agents.agents[name]
    assert agent.model is not None
    return agent.model_copy(update={"model": agent.model.model_copy(update={"login": "subscription", "key": None})})


def with_tokens(context: Context, tokens: Mapping[str, str]) -> Context:
    return replace(context, machine=replace(context.machine, credential=lambda name: tokens.get(name, "")))


def test_the_route_of_a_plan_has_its_login_and_few_paths(context: Context) -> None:
    codex = credentials.route(context.machine, subscribed(context, "codex"))
    assert codex is not None
    assert codex.headers == {"Authorization": "Bearer access", "chatgpt-account-id": "account"}
    assert codex.paths == ("responses", "models")
    context = with_tokens(context, {"CLAUDE_CODE_OAUTH_TOKEN": "long-lived"})
    claude = credentials.route(context.machine, subscribed(context, "claude"))
    assert claude is not None
    assert (claude.headers, claude.paths) == ({"Authorization": "Bearer long-lived"}, ("v1/messages",))
    assert credentials.secrets(context.machine, subscribed(context, "claude")) == ("long-lived",)
    assert set(credentials.secrets(context.machine, subscribed(context, "codex"))) == {"access", "refresh", "id"}


def test_a_key_is_found_as_before(context: Context) -> None:
    agent = context.policies().agents.agents["claude"]
    found = credentials.route(with_tokens(context, {"ANTHROPIC_API_KEY": "sk"}).machine, agent)
    assert found is not None
    assert (found.headers, found.paths) == ({"x-api-key": "sk"}, ())
    assert credentials.describe(context.machine, agent) == "ANTHROPIC_API_KEY missing"


@pytest.mark.parametrize(("name", "program"), [("codex", "codex login"), ("claude", "claude setup-token")])
def test_a_missing_login_names_the_command_that_makes_one(context: Context, name: str, program: str) -> None:
    context = replace(context, machine=replace(context.machine, person={"HOME": "/nonexistent"}))
    agent = subscribed(context, name)
    with pytest.raises(Unauthorized) as refused:
        credentials.route(context.machine, agent)
    assert program in refused.value.hint
    assert credentials.describe(context.machine, agent).startswith("missing: ")
    assert credentials.secrets(context.machine, agent) in {(), ("",)}


def test_two_attempts_on_one_login_take_turns(context: Context, tmp_path: Path) -> None:
    agent = subscribed(context, "codex")
    order: list[str] = []
    said: list[str] = []
    context = replace(context, console=replace(context.console, say=said.append))
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with credentials.held(context, agent, record=lambda _: None, tick=lambda: None) as ending:
            assert ending is None
            inside.set()
            leave.wait(10)
            order.append("first")

    def second() -> None:
        with credentials.held(context, agent, record=events.append, tick=lambda: None) as ending:
            assert ending is None
            order.append("second")

    events: list[Mapping[str, Any]] = []
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    wait_for(lambda: bool(said))
    time.sleep(0.5)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]
    assert said == [
        f"waits until the other session that uses {tmp_path}/auth.json has ended its attempt: one at a time"
    ]
    assert [event["event"] for event in events] == ["notice"]


def test_who_waits_can_be_cancelled_and_a_killed_holder_frees_the_login(context: Context) -> None:
    agent = subscribed(context, "codex")
    with credentials.held(context, agent, record=lambda _: None, tick=lambda: None):
        (lock,) = context.machine.logins.iterdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        ticks = iter([None, None, CANCELLED])
        with credentials.held(context, agent, record=lambda _: None, tick=lambda: next(ticks)) as ending:
            assert ending == CANCELLED
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with credentials.held(context, agent, record=lambda _: None, tick=lambda: None) as ending:
            assert ending is None


def test_agents_with_a_key_and_claude_code_wait_for_nobody(context: Context) -> None:
    agents = [context.policies().agents.agents["codex"], subscribed(context, "claude")]
    for agent in agents:
        with (
            credentials.held(context, agent, record=lambda _: None, tick=lambda: None),
            credentials.held(context, agent, record=lambda _: None, tick=lambda: CANCELLED) as ending,
        ):
            assert ending is None


@pytest.mark.parametrize("body", ["exit 1", None])
def test_a_login_that_expires_and_cannot_be_renewed_ends_the_attempt(
    context: Context, tmp_path: Path, body: str | None
) -> None:
    kept(tmp_path, login(access_token=jwt({"exp": int(time.time()) + 3900})))
    programs = tmp_path / "bin"
    programs.mkdir()
    if body is not None:
        (programs / "codex").write_text(f"#!/bin/sh\n{body}\n")
        (programs / "codex").chmod(0o755)
    context = replace(context, machine=replace(context.machine, agents_path=f"{programs}:/usr/bin:/bin"))
    agent = subscribed(context, "codex")
    with credentials.held(context, agent, record=lambda _: None, tick=lambda: None) as ending:
        assert ending is not None
        assert ending[0] is Reason.AUTH_FAILED
        assert ("codex login" if body else "no program codex") in ending[1]
    kept(tmp_path, login(access_token=jwt({"exp": int(time.time()) + 10_000})))
    with credentials.held(context, agent, record=lambda _: None, tick=lambda: None) as ending:
        assert ending is None, "it lasts longer than an attempt"


def test_a_login_is_renewed_before_the_attempt(context: Context, tmp_path: Path) -> None:
    kept(tmp_path, login(access_token=jwt({"exp": int(time.time()) + 60})))
    new = tmp_path / "new.json"
    new.write_bytes(login(access_token="renewed"))
    programs = tmp_path / "bin"
    programs.mkdir()
    answer = json.dumps({"id": 2, "result": {}})
    script = f"#!/bin/sh\nread -r _; read -r _; read -r _; cat {new} > {tmp_path}/auth.json; echo '{answer}'\n"
    (programs / "codex").write_text(script)
    (programs / "codex").chmod(0o755)
    context = replace(context, machine=replace(context.machine, agents_path=f"{programs}:/usr/bin:/bin"))
    agent = subscribed(context, "codex")
    with credentials.held(context, agent, record=lambda _: None, tick=lambda: None) as ending:
        assert ending is None
        found = credentials.route(context.machine, agent)
    assert found is not None
    assert found.headers["Authorization"] == "Bearer renewed"
