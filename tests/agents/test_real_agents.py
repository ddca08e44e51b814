"""Real coding agents on the stub model, contained as in production: sandbox, egress proxy, injected credential."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from factory.agents import acp
from factory.agents.attempt_limits import Bounds
from factory.agents.homes import HOMES, Setting
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.agents.task import Ending, Task, Tool
from factory.local_model import server
from factory.local_model.script import Call, Fail, Run, Say, Step, Usage, Write
from factory.model.agent import Reason, Turn
from factory.sandbox import egress, launch
from factory.system import clock, files
from factory.system.toolchain import Toolchain
from tests.servers import TOOL_PATH, git, wait_for

ROOT = Path(__file__).parent.parent.parent
TOOLS = Toolchain(ROOT / ".tools", TOOL_PATH, sys.executable)
AGENTS = {"codex": ("codex-acp",), "claude": ("claude-agent-acp",), "opencode": ("opencode", "acp")}
SECRET = "Bearer the-real-credential"
Tick = Callable[[], Ending | None]
BOUNDS = Bounds(turn_seconds=240, silence_seconds=160, output_bytes=20_000_000)

pytestmark = [
    pytest.mark.long,
    pytest.mark.matrix(1),
    pytest.mark.skipif(bool(TOOLS.missing_agents()), reason="not installed: run `factory setup --agents`"),
    pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here"),
]


@dataclass
class Place:
    """An agent's worktree and home, and what was seen of its runs."""

    kind: str
    folder: Path
    stub: server.Server
    script: list[Step]
    network: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def run(self, brief: str, *, denied: Sequence[str] = (), tick: Tick = lambda: None, **changes: Any) -> Turn:
        """Run the agent as the factory does; ``changes`` are those of its task."""
        url = self.stub.url if self.kind == "claude" else f"{self.stub.url}/v1"
        rules = egress.Rules(routes={"model": egress.Route(url, {"Authorization": SECRET})})
        home = files.private_folder(self.folder / "home")
        laid = HOMES[self.kind](Setting(home, self.work, f"http://127.0.0.1:{launch.EGRESS_PORT}/model", server.MODEL))
        for name, content in laid.files.items():
            files.write_atomic(files.contained(home, name), content)
        files.private_folder(home / "tmp")
        socket, provider = self.folder / "egress" / "proxy", Provider()
        prepared = launch.prepare(
            launch.Launch(
                argv=AGENTS[self.kind],
                cwd=self.work,
                env={"PATH": TOOLS.agents_path, **laid.env, **launch.proxy_env(launch.EGRESS_PORT)},
                writable=(self.work, home),
                readable=(TOOLS.tools, ROOT / ".venv", ROOT / "factory", Path(sys.base_prefix)),
                required=launch.Level.BWRAP,
                egress=socket,
            )
        )
        task = Task(
            brief,
            self.work,
            Permissions(self.work, deny=denied),
            BOUNDS,
            mode=laid.mode,
            provider=provider,
        )
        with (
            egress.serve(socket, rules, record=self.network.append, tap=provider),
            (self.folder / "errors").open("ab") as errors,
        ):
            try:
                return acp.run(prepared, replace(task, **changes), record=self.events.append, errors=errors, tick=tick)
            finally:
                launch.put_back(prepared)


@contextmanager
def placed(kind: str, folder: Path) -> Iterator[Place]:
    script: list[Step] = []
    with server.running(lambda _: script) as stub:
        place = Place(kind, folder, stub, script)
        place.work.mkdir()
        git("init", "-q", cwd=place.work)
        yield place


@pytest.fixture(params=AGENTS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with placed(request.param, tmp_path) as place:
        yield place


def test_it_works_with_tools_and_reaches_nothing_but_its_model(place: Place) -> None:
    asked = place.work / "asked.jsonl"
    tool = Tool("factory", sys.executable, ("-m", "factory", "agent", "mcp"), (("FACTORY_OUTPUTS", str(asked)),))
    place.script += [
        Run("env > ran.txt; cat /proc/*/environ >> ran.txt"),
        Write("wrote.txt", "one\n"),
        Call("done", {"why": "it ran and wrote"}, Usage(500, 50, cached=400)),
        Say("All done."),
    ]
    turn = place.run("Do it.", tools=(tool,))
    assert turn.reason is Reason.DONE_FOR_REVIEW, turn
    assert turn.message.endswith("All done.")
    assert (place.work / "wrote.txt").read_text() == "one\n"
    assert json.loads(asked.read_text())["kind"] == "done"
    assert (turn.source, turn.calls) == ("provider", 3)
    assert turn.usage["input_tokens"] >= 800  # side work such as titles comes on top
    assert turn.usage["cached_read_tokens"] == 400
    assert all(fact["allowed"] and fact["path"].startswith("/model/") for fact in place.network), place.network
    injected = hashlib.sha256(SECRET.encode()).hexdigest()[:12]
    assert {request.credential for request in place.stub.asked} == {injected}
    seen = json.dumps([*place.events, *(request.body for request in place.stub.requests)])
    assert "the-real-credential" not in seen + (place.work / "ran.txt").read_text()


def test_a_refused_command_is_not_run_and_the_work_goes_on(place: Place) -> None:
    (place.work / "kept.txt").write_text("kept")
    place.script += [Run("rm -rf kept.txt"), Say("I go on.")]
    turn = place.run("Clean up.", denied=("rm *",))
    assert (place.work / "kept.txt").exists()
    assert any(event["event"] == "permission" and "rm -rf" in event["command"] for event in place.events)
    assert turn.reason in {Reason.DONE_FOR_REVIEW, Reason.BLOCKED}, turn


def test_it_goes_on_with_its_own_session_after_it_was_ended(place: Place) -> None:
    place.script += [Say("I remember.")]
    first = place.run("The word is xylophone.")
    assert first.resume
    second = place.run("Which word?", resume=first.resume)
    assert second.reason is Reason.DONE_FOR_REVIEW
    assert second.resume == first.resume
    assert "xylophone" in json.dumps(place.stub.asked[-1].body)


@pytest.mark.parametrize(
    ("fail", "reason"),
    [(Fail(401), Reason.AUTH_FAILED), (Fail(429, retry_after=3600), Reason.PROVIDER_LIMITED)],
    ids=["unauthorized", "limited"],
)
def test_a_provider_that_refuses_ends_the_attempt_for_its_reason(place: Place, fail: Fail, reason: Reason) -> None:
    place.script += [fail]
    began = clock.monotonic()
    turn = place.run("Try.")
    assert turn.reason is reason, turn
    assert bool(turn.reset_at) is (reason is Reason.PROVIDER_LIMITED)
    assert clock.monotonic() - began < 600


def test_an_attempt_that_is_ended_leaves_nothing_running(place: Place) -> None:
    marker = f"3{os.getpid():07d}"
    place.script += [Run(f"setsid sleep {marker} & sleep {marker}"), Say("never")]
    turn = place.run("Wait.", tick=lambda: (Reason.SUPERSEDED, "seen") if _running(marker) else None)
    assert turn.reason is Reason.SUPERSEDED, turn
    wait_for(lambda: not _running(marker), seconds=5)


def _running(marker: str) -> bool:
    """Tell whether a process has this argument."""
    return any(marker.encode() in _read(path).split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
