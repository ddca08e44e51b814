"""Tries an agent out on a stub model, in the environment of an attempt, with a planted credential."""

import functools
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from factory.agents import outputs, token_costs
from factory.agents.doctor import TrialResult
from factory.agents.task import Ending, driver
from factory.errors import FactoryError
from factory.evidence.sign import Signer, generate
from factory.evidence.trust import Trust
from factory.gitlab.connect import connect
from factory.instance import agent_trial_script
from factory.instance.workspace import AGENT, Workspace
from factory.local_model import server
from factory.model.agent import Reason, Turn
from factory.model.session import Session
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.sandbox import launch
from factory.system import clock, files, process
from factory.workflow.context import Accounts, Console, Context, Machine, Recorder
from factory.workflow.session import launch_plan
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree
from factory.worktrees.repository import Author, Mirror

# With the time for ending processes, about a minute.
SECONDS = 50.0
_SPOKEN = frozenset({"responses", "messages", "chat"})
_ENDING_SECONDS = 2.0
_LONGEST = 200


def speaks(agent: Agent) -> bool:
    """Return whether the stub implements the API of an agent's model; true for an agent without a model."""
    return agent.model is None or agent.model.api in _SPOKEN


def tried(workspace: Workspace, policies: Policies, name: str) -> TrialResult:
    """Try an agent out for at most a minute: do the work, resume it in a second process, and cancel a third."""
    agent, planted = policies.agents.agents[name], f"planted-{secrets.token_hex(12)}"
    with (
        TemporaryDirectory(prefix="factory-doctor-") as temporary,
        TemporaryDirectory(prefix="factory-login-") as outside,
    ):
        folder = Path(temporary)
        steps = agent_trial_script.steps(launch_plan.home_of(folder / "session", name))
        with server.running(functools.partial(agent_trial_script.spoken, steps)) as stub:
            trial = _Trial(workspace, policies, name, stub, folder, planted, _plan_login(Path(outside), planted))
            try:
                seen = trial.seen()
            except FactoryError as error:
                seen = TrialResult(agent.protocol == "acp", agent.model is not None, failed=str(error))
            finally:
                left = _left(folder)
    return replace(seen, left=left)


def alone(workspace: Workspace, folder: Path, credential: str, *, login: Path = Path("/nonexistent")) -> Context:
    """Return a separate context in a folder, without a server, with one credential for every model.

    ``login`` is the folder of a made-up login of Codex.
    """
    mirror = Mirror(folder / "mirror.git", "")
    mirror.ensure()
    nobody = connect("http://127.0.0.1:0", "doctor/doctor", account=AGENT, token="")
    signer = Signer(generate())
    return Context(
        accounts=Accounts(bot=nobody, agent=nobody, bot_token="", agent_token="", simulator=True),
        mirror=mirror,
        machine=Machine(
            state=folder,
            holder="doctor",
            env=workspace.tool_env,
            readable=workspace.readable,
            agents_path=workspace.tools.agents_path,
            credential=lambda _: credential,
            person={"CODEX_HOME": str(login)},
        ),
        recorder=Recorder(signer=lambda _: signer, own=Trust.of(signer.public, origin="doctor", agent_account=AGENT)),
        console=Console(say=lambda _: None, timed=lambda _, __: None),
    )


def begin(context: Context, session: Session) -> None:
    """Create a session's worktree at an initial commit for the trial."""
    author = Author("doctor", "doctor@localhost")
    readme = {"AGENTS.md": b"This repository is a trial.\n"}
    commit = context.mirror.commit(readme, parent=None, message="start", author=author)
    worktree.prepare(context.mirror, session.worktree, commit=commit)


def on_stub(agent: Agent, url: str) -> Agent:
    """Return the agent with the stub as its model, under a model name that no agent handles specially."""
    if agent.model is None:
        return agent
    base = url if agent.model.api == "messages" else f"{url}/v1"
    if agent.model.login == "subscription" and agent.home == "codex":
        base = f"{url}/backend-api/codex"
    return agent.model_copy(update={"model": agent.model.model_copy(update={"url": base, "name": server.MODEL})})


def without_rules(policies: Policies) -> Policies:
    """Return policies that allow every path and check nothing: a trial has no project whose apps could be tested."""
    scope = policies.scope.model_copy(update={"allowed": ("**",), "protected": ()})
    gates = policies.gates.model_copy(update={"checks": {}})
    approvals = policies.approvals.model_copy(update={"risks": {}})
    return policies.model_copy(update={"scope": scope, "gates": gates, "approvals": approvals})


def with_recordings(agent: Agent, folder: Path) -> Agent:
    """Return the replay agent with a recording for the trial's brief; any other agent unchanged."""
    if agent.model is not None or agent.command[-2:] != ("agent", "replay"):
        return agent
    recordings = files.private_folder(folder / "recordings")
    files.write_atomic(recordings / "doctor.json", agent_trial_script.recording())
    return agent.model_copy(update={"command": (*agent.command, "--recordings", str(recordings))})


@dataclass
class _Trial:
    """One agent's trial; ``events`` are those of its runs."""

    workspace: Workspace
    policies: Policies
    name: str
    stub: server.Server
    folder: Path
    planted: str
    login: Path
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def seen(self) -> TrialResult:
        """Run the agent up to three times, and return the observations."""
        agent = on_stub(self.policies.agents.agents[self.name], self.stub.url)
        deadline = clock.monotonic() + SECONDS
        session = Session("doctor", 1, files.private_folder(self.folder / "session"))
        context = alone(self.workspace, self.folder, self.planted, login=self.login)
        begin(context, session)

        def late() -> Ending | None:
            return (Reason.TIMED_OUT, f"no end within {SECONDS:g} s") if clock.monotonic() > deadline else None

        turn = self._run(context, session, 1, agent_trial_script.WORK, tick=late)
        work = list(self.events)
        asked = list(self.stub.asked)
        found = TrialResult(
            speaks=agent.protocol == "acp",
            scripted=agent.model is not None,
            failed="" if turn.reason is Reason.DONE_FOR_REVIEW else _why(turn, session.attempt(1)),
            wrote=_holds(session.worktree / agent_trial_script.FILE, agent_trial_script.CONTENT),
            ran=(launch_plan.home_of(session.folder, self.name) / "ran").exists(),
            own=_reported(work),
            counted=turn.usage if turn.source == "provider" else {},
            answered=sum(item.usage.input + item.usage.output for item in asked if item.usage),
            offered=any(tool.endswith("done") for item in asked for tool in item.tools),
            called=bool(outputs.read(launch_plan.outputs_file(session.attempt(1))).requests),
        )
        if found.speaks and found.scripted and not found.failed:
            again = self._run(context, session, 2, agent_trial_script.AGAIN, tick=late, resume=turn.resume)
            knows = agent_trial_script.WORD in json.dumps(
                [item.body for item in self.stub.asked if agent_trial_script.AGAIN in item.prompt]
            )
            took = self._cancelled(context, session, late)
            found = replace(found, resumed=knows and again.resume == turn.resume, cancelled=took)
        return replace(
            found,
            events=tuple(self.events),
            changed=worktree.changed_paths(session.worktree),
            expected=(agent_trial_script.FILE,),
            injected=self._injected(agent),
            leaked=self._leaked(),
            strayed=_strayed(self.events),
        )

    def _run(
        self,
        context: Context,
        session: Session,
        number: int,
        brief: str,
        *,
        tick: Callable[[], Ending | None],
        resume: str = "",
    ) -> Turn:
        agent = on_stub(self.policies.agents.agents[self.name], self.stub.url)
        folder = files.private_folder(session.attempt(number))
        files.write_atomic(folder / "brief.md", brief.encode())
        chosen = AgentChoice(self.name, with_recordings(agent, folder), "the doctor tries it")
        amount = launch_plan.requested_amount(agent)
        with (
            launch_plan.prepare(
                context, session, number, policies=without_rules(self.policies), chosen=chosen, brief=brief,
                amount=amount, record=self.events.append,
            ) as given,
            (folder / "stderr.log").open("wb") as errors,
        ):  # fmt: skip
            prepared = launch.prepare(given.launch)
            task = replace(given.task, resume=resume)
            try:
                return driver(agent.protocol)(prepared, task, record=self.events.append, errors=errors, tick=tick)
            finally:
                launch.put_back(prepared)

    def _cancelled(self, context: Context, session: Session, late: Callable[[], Ending | None]) -> float | None:
        """Cancel the agent while its model is silent; return the seconds until it ended, or ``None``."""
        began: list[float] = []

        def tick() -> Ending | None:
            if any(agent_trial_script.WAIT in item.prompt for item in self.stub.asked):
                began.append(clock.monotonic())
                return Reason.CANCELLED_BY_HUMAN, "the doctor cancels"
            return late()

        self._run(context, session, 3, agent_trial_script.WAIT, tick=tick)
        return clock.monotonic() - began[0] if began else None

    def _injected(self, agent: Agent) -> bool:
        """Return whether every request to the model had the planted credential."""
        if agent.model is None:
            return True
        sent = {self.planted, f"Bearer {self.planted}"}
        prints = {hashlib.sha256(text.encode()).hexdigest()[:12] for text in sent}
        return all(item.credential in prints for item in self.stub.requests)

    def _leaked(self) -> list[str]:
        """Return where the planted credential was found: in events, in requests to the model, or in files."""
        found = ["its events"] if self.planted in json.dumps(self.events) else []
        if any(self.planted in json.dumps(dict(item.body)) for item in self.stub.requests):
            found.append("a request to its model")
        for path in sorted(self.folder.rglob("*")):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and self.planted.encode() in path.read_bytes():
                    found.append(path.relative_to(self.folder).as_posix())
        return found


def _plan_login(folder: Path, token: str) -> Path:
    """Write a made-up login of Codex with a token to a folder, and return the folder."""
    login = {"auth_mode": "chatgpt", "tokens": {"access_token": token, "account_id": "doctor"}}
    files.write_atomic(folder / "auth.json", json.dumps(login).encode(), mode=0o600)
    return folder


def _why(turn: Turn, folder: Path) -> str:
    """Return why an agent failed, with the last line that it wrote to standard error."""
    lines = (folder / "stderr.log").read_text(errors="replace").strip().splitlines()
    return f"{turn.reason}: {turn.detail}" + (f" ({lines[-1][:_LONGEST]})" if lines else "")


def _holds(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text(errors="replace") == content


def _reported(events: Sequence[Mapping[str, Any]]) -> Mapping[str, int]:
    """Return the usage that the agent itself reported for its prompts."""
    usages = [event["usage"] for event in events if event["event"] == "answer"]
    return token_costs.add(*usages)


def _strayed(events: Sequence[Mapping[str, Any]]) -> list[str]:
    requests = [event for event in events if event["event"] == "network"]
    return sorted({f"{item['host']}:{item['port']}" for item in requests if not item["path"].startswith("/model/")})


def _left(folder: Path) -> list[str]:
    """Return the trial's processes that still run shortly after its end, and kill them."""
    deadline = clock.monotonic() + _ENDING_SECONDS
    while (found := _naming(folder)) and clock.monotonic() < deadline:
        clock.sleep(0.05)
    for pid in found:
        process.signal_process(pid, force=True)
    return list(found.values())


def _naming(folder: Path) -> dict[int, str]:
    """Return the processes with the folder in their command line or environment; empty without /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if str(folder).encode() in line + (entry / "environ").read_bytes():
                found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
    return found
