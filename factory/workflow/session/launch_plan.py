"""What an agent is given for an attempt: a private home, an environment, its line to the model, rules and limits."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from factory.agents import command
from factory.agents.homes import HOMES, Home, Setting
from factory.agents.metering import Bounds, Rates
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.agents.task import Task, Tool
from factory.errors import Unauthorized
from factory.model.session import Session
from factory.policies import evaluate
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.sandbox import caches, egress, launch
from factory.sandbox.launch import Launch
from factory.sandbox.limits import Limits
from factory.system import files
from factory.workflow.budget.budget import Amount
from factory.workflow.context import AGENT_FOLDERS, PROTECTED_IN_WORKTREE, Context
from factory.workflow.session import control
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree

OUTPUTS = "FACTORY_OUTPUTS"
MODEL = "model"
Record = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class LaunchPlan:
    """How to start an agent, and what it is to do."""

    launch: Launch
    task: Task


def outputs_file(folder: Path) -> Path:
    """Return where an attempt's agent asks for writes."""
    return folder / "outputs" / "requests.jsonl"


@contextmanager
def prepare(
    context: Context,
    session: Session,
    number: int,
    *,
    policies: Policies,
    chosen: AgentChoice,
    brief: str,
    amount: Amount,
    record: Record,
    interactive: bool = False,
) -> Iterator[LaunchPlan]:
    """Lay out an agent's home, open its line to the model, and give its equipment for as long as the block lasts.

    Where a person works with it, the brief stands where the agent reads its instructions. Raises ``Unauthorized``
    where its model has no credential.
    """
    agent = chosen.agent
    provider = Provider()
    with _line(context, agent, provider, record) as (socket, port):
        place = _Place(session, session.attempt(number), files.private_folder(session.folder / f"home-{chosen.name}"))
        laid = _home(policies, agent, place, port, brief if interactive else "")
        base = _launch(context, agent, place, laid, interactive=interactive)
        env = {**base.env, **(launch.proxy_env(port) if socket else {})}
        tool = Tool("factory", "factory", ("agent", "mcp"), tuple((name, env[name]) for name in (OUTPUTS, "PATH")))
        yield LaunchPlan(
            replace(base, env=env, egress=socket, egress_port=port),
            Task(
                brief=brief,
                worktree=session.worktree,
                permissions=_permissions(policies, session.worktree),
                bounds=bounds(policies, agent, amount),
                rates=rates(agent),
                mode=laid.mode,
                saving_seconds=laid.saving_seconds,
                tools=(tool,),
                provider=provider,
                stdin=command.BRIEF not in agent.command,
                paused=lambda: control.read(session.folder).signal is control.ControlSignal.PAUSE,
            ),
        )


@dataclass(frozen=True)
class _Place:
    """Where an attempt happens: its session, the attempt's folder, and the agent's home."""

    session: Session
    folder: Path
    home: Path


def _launch(context: Context, agent: Agent, place: _Place, laid: Home, *, interactive: bool) -> Launch:
    """Return how the agent is started, but for its line to the model."""
    session, home = place.session, place.home
    for name in AGENT_FOLDERS:
        with suppress(FileExistsError):
            (session.worktree / name).mkdir()  # git does not see empty folders
    asked = outputs_file(place.folder)
    cached = caches.offer(home, wheels=context.wheels, npm=context.npm, network=bool(agent.egress))
    env = {**context.env, "PATH": context.agents_path or context.env["PATH"], "HOME": str(home)}
    env |= {"TMPDIR": str(files.private_folder(home / "tmp")), **laid.env, **cached.env, OUTPUTS: str(asked)}
    git_folders = (worktree.git_dir(session.worktree), context.mirror.path)
    return Launch(
        argv=command.argv(agent.terminal if interactive else agent.command, place.folder / "brief.md"),
        cwd=session.worktree,
        env=env,
        writable=(session.worktree, home, files.private_folder(asked.parent)),
        readable=(*context.readable, *cached.readable, *git_folders, session.folder / "checks", place.folder),
        frozen=tuple(session.worktree / name for name in PROTECTED_IN_WORKTREE),
        required=agent.sandbox,
        limits=Limits(agent.limits.memory_bytes, agent.limits.processes, agent.limits.file_bytes),
        terminal=interactive,
    )


def bounds(policies: Policies, agent: Agent, amount: Amount) -> Bounds:
    """Return an attempt's limits: those of its agent, and what was reserved for it."""
    limits = agent.limits
    return Bounds(
        turn_seconds=limits.turn_seconds,
        silence_seconds=limits.silence_seconds,
        output_bytes=limits.output_bytes,
        turns=limits.turns,
        tokens=amount.tokens,
        usd_micros=amount.usd_micros if agent.prices else Bounds.usd_micros,
        warn_percent=policies.budgets.warn_percent,
    )


def rates(agent: Agent) -> Rates:
    """Return what an agent's model costs; one without a price list costs nothing."""
    prices = agent.prices
    return Rates(prices.input, prices.cached, prices.output) if prices else Rates()


def requested_amount(agent: Agent) -> Amount:
    """Return what an attempt of an agent may take at most."""
    return Amount(agent.limits.tokens, round(agent.limits.usd * 1e6) if agent.prices else 0)


def secrets(context: Context, agent: Agent) -> tuple[str, ...]:
    """Return what must not show in a transcript."""
    return (context.credential(agent.model.key),) if agent.model else ()


@contextmanager
def _line(context: Context, agent: Agent, provider: Provider, record: Record) -> Iterator[tuple[Path | None, int]]:
    """Serve the egress proxy of an attempt; one without model and hosts gets none. Gives its socket and port."""
    if agent.model is None and not agent.egress:
        yield None, launch.EGRESS_PORT
        return
    routes = {MODEL: egress.Route(agent.model.url, _headers(context, agent))} if agent.model else {}
    rules = egress.Rules(allowed=agent.egress, routes=routes)
    # A socket's path may have some hundred bytes, so it cannot lie in the session's folder.
    with TemporaryDirectory(prefix="factory-egress-") as folder:
        socket = Path(folder) / "proxy"
        with egress.serve(socket, rules, record=lambda event: record({"event": "network", **event}), tap=provider):
            yield socket, launch.relay_port(context.env.get("PATH", ""))


def _headers(context: Context, agent: Agent) -> dict[str, str]:
    """Return the header that carries a model's credential, as its API wants it; raises ``Unauthorized``."""
    if agent.model is None:
        return {}
    found = context.credential(agent.model.key)
    if not found:
        raise Unauthorized(
            f"there is no credential {agent.model.key} for the model {agent.model.name}",
            hint=f"Set the variable {agent.model.key}; see runbooks/agent-credentials.md.",
        )
    if agent.model.api == "messages":
        return {"x-api-key": found}
    return {"x-goog-api-key": found} if agent.model.api == "gemini" else {"Authorization": f"Bearer {found}"}


def _home(policies: Policies, agent: Agent, place: _Place, port: int, instructions: str) -> Home:
    if agent.model is None:
        return Home({}, {}, "")
    url = f"http://127.0.0.1:{port}/{MODEL}"
    if agent.home is None:
        key = {"OPENAI_API_BASE": url, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "stand-in", "ANTHROPIC_BASE_URL": url}
        return Home(key, {}, "")
    denied = policies.agents.permissions.deny
    made = HOMES[agent.home](Setting(place.home, place.session.worktree, url, agent.model.name, instructions, denied))
    for name, content in made.files.items():
        files.write_atomic(files.contained(place.home, name), content, mode=0o600)
    return made


def _permissions(policies: Policies, folder: Path) -> Permissions:
    def scope(path: str) -> str:
        ruling = evaluate.path(policies, path)
        return "" if ruling.allowed else f"{ruling.rule}: {ruling.reason}"

    rules = policies.agents.permissions
    return Permissions(folder, PROTECTED_IN_WORKTREE, rules.allow, rules.deny, scope)
