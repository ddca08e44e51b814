"""Budgets that only a person can raise, and rate-limited providers, by the real command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.local_model.script import Fail
from factory.local_model.server import Server, running
from tests.instances import Instance, founded

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]

# More tokens than a brief is estimated at while the model has not answered yet.
LIMITS = """limits:
      {turns: 9, turn_seconds: 120, silence_seconds: 60, output_bytes: 9000000, tokens: 100000, usd: 1,
       memory_bytes: 900000000, processes: 64, file_bytes: 9000000}
"""
# Plain commands that ask their model once, through the proxy: one with a stand-in, one without.
AGENTS = """
  limited:
    protocol: command
    command: [curl, --silent, --fail, --noproxy, "*", "http://127.0.0.1:18080/model/v1/models", --data, "{}"]
    version: "1"
    capabilities: [edit]
    sandbox: bwrap
    egress: []
    model: {api: chat, name: stub, url: "URL", key: STUB_API_KEY}
    prices: {version: "1", input: 1, cached: 1, output: 1}
    INSTEAD
    LIMITS
"""


@pytest.fixture(scope="module")
def model() -> Iterator[Server]:
    with running(lambda _: [Fail(429, retry_after=3600)]) as server:
        yield server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, model: Server) -> Iterator[Instance]:
    agent = AGENTS.replace("URL", model.url).replace("LIMITS", LIMITS).replace("/v1/models", "/v1/chat/completions")
    alone, helped = (
        agent.replace("INSTEAD", ""),
        agent.replace("limited:", "helped:").replace("INSTEAD", "instead: replay"),
    )

    def small_budgets(clone: Path) -> None:
        agents, budgets = clone / "policies/agents.yml", clone / "policies/budgets.yml"
        agents.write_text(agents.read_text() + alone + helped)
        budgets.write_text(budgets.read_text().replace("issue: {tokens: 6000000", "issue: {tokens: 50000"))

    instance = founded(tmp_path_factory.mktemp("budget"), change=small_budgets)
    yield instance
    instance.run("down", check=False)


def new(made: Instance, title: str = "Greet a visitor by name") -> str:
    return str(made.json("issue", "new", title, "--spec", "hello")["iid"])


@pytest.mark.slow
def test_an_exhausted_issue_continues_only_after_a_person_raises_its_budget(made: Instance) -> None:
    number = new(made)
    stopped = made.run("work", "--once", "--issue", number, check=False)
    assert stopped.returncode == 15, stopped.stderr
    assert "the budget per issue is 50000 tokens" in stopped.stderr
    assert "factory::exhausted" in made.run("issue", "show", number).stdout
    again = made.run("work", "--once", "--issue", number, check=False)
    assert again.returncode == 15, "the same command does not get around it"
    made.run("budget", "increase", number, "--tokens", "3000000")
    done = made.run("work", "--once", "--issue", number)
    assert "is ready for review" in done.stderr
    shown = {item["bound"]: item for item in made.json("budget", "show", number)}
    assert shown["issue"]["cap"]["tokens"] == 3_050_000
    assert shown["issue"]["spent"]["tokens"] == shown["day"]["spent"]["tokens"] > 0
    assert [item["state"] for item in made.json("budget", "list")] == ["spent", "spent"]


@pytest.mark.long
def test_an_issue_waits_for_its_limited_provider(made: Instance) -> None:
    number = new(made)
    made.run("budget", "increase", number, "--tokens", "3000000")
    waits = made.run("work", "--once", "--issue", number, "--agent", "limited", check=False, STUB_API_KEY="k")
    assert waits.returncode == 16, waits.stderr
    assert "429" in waits.stderr
    shown = made.run("issue", "show", number).stdout
    assert "factory::ready" in shown
    assert "offered again after" in shown
    assert "is held" in made.run("work", "--once", "--issue", number).stdout
    state = {str(item["issue"]): item["state"] for item in made.json("session", "list")}[number]
    assert state.startswith("waits until 20")


def test_another_agent_replaces_one_with_a_limited_provider(made: Instance) -> None:
    number = new(made)
    made.run("budget", "increase", number, "--tokens", "9000000")
    done = made.run("work", "--once", "--issue", number, "--agent", "helped", check=False, STUB_API_KEY="k")
    assert "attempt 1 ended: provider_limited: the model's provider answers 429" in done.stderr, done.stderr
    assert "attempt 2: replay works (the provider of helped is unavailable" in done.stderr, done.stderr
    session = next(item["session"] for item in made.json("session", "list") if str(item["issue"]) == number)
    kept = sorted((made.folder() / "sessions" / session).glob("attempt-*/turn.json"))
    made_by = [json.loads(path.read_text()) for path in kept]
    assert [item["agent"]["name"] for item in made_by][:2] == ["helped", "replay"]
    assert made_by[0]["reason"] == "provider_limited"
