"""What a turn of a real agent costs more in the factory than bare, on the same stub model in the same run.

Bare is the ACP SDK alone: the agent as a plain child process that talks to the stub directly. Ours is an attempt as the
workflow makes it: home, worktree, launch door, limits, egress proxy, tools, transcript. The stub is a process of its
own, as a provider is. A turn is a prompt with two tool calls: what many calls cost more than few, divided.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import acp
from acp import schema

from factory.agents import acp as driver
from factory.agents.acp_client import Client
from factory.agents.homes import HOMES, Setting
from factory.agents.permissions import Permissions
from factory.cli.current import open_workspace
from factory.instance import agent_trial, workspace
from factory.local_model import script, server
from factory.model.agent import Reason
from factory.model.session import Session
from factory.policies.folder import read_folder
from factory.sandbox import launch
from factory.system import files
from factory.workflow.session import control, launch_plan, transcript
from factory.workflow.session.routing import AgentChoice
from tests.measure import row
from tests.servers import ROOT, TOOL_PATH

_NAME, _RUNS = "codex", 7
# What starts and ends an attempt is paid once, however long it works; a turn is paid each time.
_WHOLE_LIMIT, _TURN_LIMIT = 1.35, 1.10
_FEW, _MANY = 2, 32
_MODEL = "the stub model"
_LINE = 8 * 1024 * 1024


def rows(runs: int = _RUNS) -> list[dict[str, object]]:
    """Return one row for the whole attempt and one for the turn; none where the agent or bubblewrap is missing."""
    os.chdir(ROOT)
    workspace = open_workspace(None)
    if not (workspace.tools.agents / "bin" / "codex-acp").exists() or launch.probe(TOOL_PATH) is None:
        return []
    with tempfile.TemporaryDirectory(prefix="factory-bench-") as made, _stub() as url:
        ours, bare = _Ours(workspace, Path(made), url), _Bare(workspace, Path(made), url)
        for one in (ours, bare):
            one.run(_FEW)
        whole, turn = list[tuple[float, float]](), list[tuple[float, float]]()
        for number in range(runs):
            few, many = [_interleaved(ours.run, bare.run, calls, first=number % 2) for calls in (_FEW, _MANY)]
            whole.append(few)
            turn.append((_turn(many[0], few[0]), _turn(many[1], few[1])))
    return [
        row(f"{_NAME}: a whole attempt of one turn / bare", whole, _WHOLE_LIMIT),
        row(f"{_NAME}: a turn of two tool calls / bare", turn, _TURN_LIMIT),
    ]


def _turn(many: float, few: float) -> float:
    return (many - few) / (_MANY - _FEW) * 2


def _interleaved(
    ours: Callable[[int], float], bare: Callable[[int], float], calls: int, *, first: int
) -> tuple[float, float]:
    """Run both, in the order that ``first`` says, and return their seconds."""
    if first:
        other = bare(calls)
        return ours(calls), other
    return ours(calls), bare(calls)


class _Ours:
    """Attempts as the workflow makes them, each in the same worktree with a home of its own."""

    def __init__(self, workspace: workspace.Workspace, folder: Path, url: str) -> None:
        self._context = agent_trial.alone(workspace, files.private_folder(folder / "factory"), "the-credential")
        self._policies = read_folder(workspace.settings.clone)
        self._agent = agent_trial.on_stub(self._policies.agents.agents[_NAME], url)
        self._folder = folder
        self._number = 0

    def run(self, calls: int) -> float:
        """Return the seconds of one attempt with so many tool calls."""
        self._number += 1
        session = Session("bench", 1, files.private_folder(self._folder / f"ours-{self._number}"))
        agent_trial.begin(self._context, session)
        start = time.perf_counter()
        self._attempt(session, f"Do {calls} calls.")
        return time.perf_counter() - start

    def _attempt(self, session: Session, brief: str) -> None:
        folder = files.private_folder(session.attempt(1))
        files.write_atomic(folder / "brief.md", brief.encode())
        with (
            transcript.recording(folder, ("the-credential",)) as record,
            launch_plan.prepare(
                self._context,
                session,
                1,
                policies=self._policies,
                chosen=AgentChoice(_NAME, self._agent, "bench"),
                brief=brief,
                amount=launch_plan.requested_amount(self._agent),
                record=record,
            ) as given,
            (folder / "stderr.log").open("wb") as errors,
        ):
            prepared = launch.prepare(given.launch)
            try:
                turn = driver.run(
                    prepared,
                    given.task,
                    record=record,
                    errors=errors,
                    tick=lambda: control.ending(control.read(session.folder)),
                )
            finally:
                launch.put_back(prepared)
        assert turn.reason is Reason.DONE_FOR_REVIEW, turn


class _Bare:
    """The SDK and nothing else."""

    def __init__(self, workspace: workspace.Workspace, folder: Path, url: str) -> None:
        self._path = workspace.tools.agents_path
        self._folder = folder
        self._url = url
        self._number = 0

    def run(self, calls: int) -> float:
        """Return the seconds of one attempt with so many tool calls."""
        self._number += 1
        folder = self._folder / f"bare-{self._number}"
        work, home = folder / "work", folder / "home"
        (home / "tmp").mkdir(parents=True)
        work.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=work, check=True)
        start = time.perf_counter()
        laid = HOMES[_NAME](Setting(home, work, f"{self._url}/v1", server.MODEL))
        for name, content in laid.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(content)
        stop = asyncio.run(_talk(work, {"PATH": self._path, **laid.env}, laid.mode, f"Do {calls} calls."))
        took = time.perf_counter() - start
        assert stop == "end_turn", stop
        return took


async def _talk(work: Path, env: dict[str, str], mode: str, brief: str) -> str:
    client: Any = Client(Permissions(work), lambda _: None)
    agent = await asyncio.create_subprocess_exec(
        "codex-acp", stdin=-1, stdout=-1, stderr=-3, cwd=work, env=env, limit=_LINE, start_new_session=True
    )
    connection = acp.connect_to_agent(client, agent.stdin, agent.stdout)
    await connection.initialize(protocol_version=acp.PROTOCOL_VERSION, client_capabilities=schema.ClientCapabilities())
    session = (await connection.new_session(cwd=str(work), mcp_servers=[])).session_id
    await connection.set_session_mode(session_id=session, mode_id=mode)
    answer = await connection.prompt(session_id=session, prompt=[acp.text_block(brief)])
    await connection.close()
    os.killpg(agent.pid, 9)
    await agent.wait()
    return str(answer.stop_reason)


@contextmanager
def _stub() -> Iterator[str]:
    """Run the stub model in a process of its own; give its URL."""
    argv = [sys.executable, "-m", "tests.bench.agents", _MODEL]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def _serve() -> None:
    """Serve the stub until standard input ends."""

    def steps(prompt: str) -> Sequence[script.Step]:
        found = re.search(r"Do (\d+) calls", prompt)
        return [*([script.Run("true")] * int(found[1] if found else 0)), script.Say("Done.")]

    with server.running(steps) as running:
        print(running.url, flush=True)  # noqa: T201 - how the other process learns it
        sys.stdin.read()


if __name__ == "__main__":
    if _MODEL in sys.argv:
        _serve()
    else:
        for line in rows():
            print(json.dumps(line))  # noqa: T201 - a program's output
