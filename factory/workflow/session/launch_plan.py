"""Prepares the start of an agent: private home, environment, proxy to its model, permissions and limits."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from factory.agents import command
from factory.agents.attempt_limits import Bounds
from factory.agents.homes import HOMES, Home, Setting
from factory.agents.permissions import Permissions
from factory.agents.provider import Provider
from factory.agents.task import Task, Tool
from factory.agents.token_costs import Rates
from factory.errors import MachineError, Refused
from factory.model.session import Session
from factory.operations.repository import app_tests
from factory.policies import evaluate
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.policies.path_patterns import touches
from factory.sandbox import caches, egress, launch
from factory.sandbox.launch import Launch
from factory.sandbox.limits import Limits
from factory.system import files, process, safe_path
from factory.workflow.budget.budget import Amount
from factory.workflow.context import AGENT_FOLDERS, PROTECTED_IN_WORKTREE, Context
from factory.workflow.session import control, credentials, local_gates
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree

OUTPUTS = "FACTORY_OUTPUTS"
# Folders of one attempt that its agent may write. Codex refuses a home below TMPDIR, so the home is not below them.
_TMP, _CACHE = "tmp", "cache"
MODEL = "model"
# The risk of policies/approvals.yml whose paths agents read as instructions.
_INSTRUCTIONS = "instructions"
Record = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True)
class LaunchPlan:
    """How to start an agent, and its task."""

    launch: Launch
    task: Task


def outputs_file(folder: Path) -> Path:
    """Return the file in which the agent of an attempt requests writes."""
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
    """Write an agent's home, serve its proxy while the block runs, and yield the launch plan.

    The home outlives the attempt, so that the agent finds its own session again. An agent may leave a link in it where
    the factory writes a file: then the home is made again from nothing. The agent's temporary files and caches do not
    outlive it.

    With ``interactive``, the brief is in the file from which the agent reads its instructions. Raises ``Unauthorized``
    if its model has no credential.
    """
    agent = chosen.agent
    provider = Provider()
    with _proxy(context, agent, provider, record) as (socket, port):
        place = _Place(session, session.attempt(number), files.private_folder(home_of(session.folder, chosen.name)))
        agent_home = _home(policies, agent, place, port, brief if interactive else "")
        base = _launch(context, agent, place, agent_home, interactive=interactive)
        base = _with_app(
            context, policies, replace(base, frozen=(*base.frozen, *_instructions(context, policies, base.cwd)))
        )
        env = {**base.env, **(launch.proxy_env(port) if socket else {})}
        tool = Tool("factory", "factory", ("agent", "mcp"), tuple((name, env[name]) for name in (OUTPUTS, "PATH")))
        task = Task(
            brief=brief,
            worktree=session.worktree,
            permissions=_permissions(policies, session.worktree),
            bounds=bounds(policies, agent, amount),
            rates=rates(agent),
            mode=agent_home.mode,
            saving_seconds=agent_home.saving_seconds,
            tools=(tool,),
            provider=provider,
            stdin=command.BRIEF not in agent.command,
            paused=lambda: control.read(session.folder).signal is control.ControlSignal.PAUSE,
        )
        try:
            yield LaunchPlan(replace(base, env=env, egress=socket, egress_port=port), task)
        finally:
            for name in (_TMP, _CACHE):
                files.remove_tree(place.folder / name)


def require(context: Context, chosen: AgentChoice) -> None:
    """Raise ``Unauthorized`` if the agent's model has no credential, ``MachineError`` if its program is missing."""
    credentials.route(context.machine, chosen.agent)
    env = context.machine.env
    interactive = context.console.interactive and chosen.agent.terminal
    program = (chosen.agent.terminal if interactive else chosen.agent.command)[0]
    require_program(chosen.name, program, context.machine.agents_path or env["PATH"])


def require_program(name: str, program: str, path: str) -> None:
    """Raise ``MachineError`` if the program of an agent is not on a ``PATH``."""
    if process.find(program, path) is None:
        raise MachineError(
            f"the agent {name} is not installed: there is no program {program}",
            hint="Run `factory setup --agents`, or install it; `factory agent list` shows which are there.",
        )


def home_of(session: Path, agent: str) -> Path:
    """Return the home of an agent in a session's folder."""
    return session / f"home-{agent}"


@dataclass(frozen=True)
class _Place:
    """The session, the attempt's folder and the agent's home of one attempt."""

    session: Session
    folder: Path
    home: Path


def _launch(context: Context, agent: Agent, place: _Place, agent_home: Home, *, interactive: bool) -> Launch:
    """Return how to start the agent, without its proxy."""
    session, home = place.session, place.home
    for name in AGENT_FOLDERS:
        with suppress(FileExistsError):
            (session.worktree / name).mkdir()  # git does not see empty folders
    requests = outputs_file(place.folder)
    temporary, own = (files.private_folder(place.folder / name) for name in (_TMP, _CACHE))
    cached = caches.offer(own, wheels=context.machine.wheels, npm=context.machine.npm, network=bool(agent.egress))
    env = {**context.machine.env, "PATH": context.machine.agents_path or context.machine.env["PATH"], "HOME": str(home)}
    env |= {
        "TMPDIR": str(temporary),
        **agent_home.env,
        **cached.env,
        OUTPUTS: str(requests),
    }
    git_folders = (worktree.git_dir(session.worktree), context.mirror.path)
    return Launch(
        argv=command.argv(agent.terminal if interactive else agent.command, place.folder / "brief.md"),
        cwd=session.worktree,
        env=env,
        writable=(session.worktree, home, temporary, own, files.private_folder(requests.parent)),
        readable=(*context.machine.readable, *cached.readable, *git_folders, session.folder / "checks", place.folder),
        frozen=tuple(session.worktree / name for name in PROTECTED_IN_WORKTREE),
        required=agent.sandbox,
        limits=Limits(agent.limits.memory_bytes, agent.limits.processes, agent.limits.file_bytes),
        terminal=interactive,
    )


def _instructions(context: Context, policies: Policies, folder: Path) -> list[Path]:
    """Return the files of main, wherever they lie, that policy calls instructions and keeps from agents.

    The gate `scope` refuses a change of them, but the next attempt would read it before.
    """
    risk = policies.approvals.risks.get(_INSTRUCTIONS)
    if risk is None:
        return []
    nested = (
        name for name in context.mirror.paths(context.main()) if name.partition("/")[0] not in PROTECTED_IN_WORKTREE
    )
    found = (name for name in nested if touches(name, risk.paths) and not evaluate.path(policies, name).allowed)
    return [folder / name for name in found if (folder / name).is_file()]


def _with_app(context: Context, policies: Policies, given: Launch) -> Launch:
    """Let the agent run the apps' tests: with the Pythons that have what the apps of main need, if they need something.

    Of several apps, `python` is that of the first.
    """
    if not app_tests.need_packages(policies):
        return given
    found = [item for item in local_gates.suites(context, policies, given.cwd, context.main()) if item.runner]
    runners = list(dict.fromkeys(item.runner for item in found if item.runner))
    if not runners:
        return given
    env = {**given.env, **found[0].variables(given.cwd)}
    env["PATH"] = ":".join([*(str(runner.parent) for runner in runners), env["PATH"]])
    return replace(given, env=env, readable=(*given.readable, *(runner.parents[1] for runner in runners)))


def bounds(policies: Policies, agent: Agent, amount: Amount) -> Bounds:
    """Return an attempt's limits: those of its agent, and the reserved amount."""
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


def priced(agent: Agent) -> bool:
    """Return whether it is known what an agent's tokens cost; without a model they cost nothing."""
    return agent.model is None or agent.prices is not None


def rates(agent: Agent) -> Rates:
    """Return the prices of an agent's model; zero without a price list."""
    prices = agent.prices
    return Rates(prices.input, prices.cached, prices.output) if prices else Rates()


def requested_amount(agent: Agent) -> Amount:
    """Return the largest amount that an attempt of an agent may spend."""
    return Amount(agent.limits.tokens, round(agent.limits.usd * 1e6) if agent.prices else 0)


@contextmanager
def _proxy(context: Context, agent: Agent, provider: Provider, record: Record) -> Iterator[tuple[Path | None, int]]:
    """Serve the egress proxy of an attempt, unless it has no model and no hosts. Yields its socket and port."""
    if agent.model is None and not agent.egress:
        yield None, launch.EGRESS_PORT
        return
    route = credentials.route(context.machine, agent)
    rules = egress.Rules(allowed=agent.egress, routes={MODEL: route} if route else {})
    # A socket's path is limited to about 100 bytes, so the socket cannot be in the session's folder.
    with TemporaryDirectory(prefix="factory-egress-") as folder:
        socket = Path(folder) / "proxy"
        with egress.serve(socket, rules, record=lambda event: record({"event": "network", **event}), tap=provider):
            yield socket, launch.relay_port(context.machine.env.get("PATH", ""))


def _home(policies: Policies, agent: Agent, place: _Place, port: int, instructions: str) -> Home:
    if agent.model is None:
        return Home({}, {}, "")
    url = f"http://127.0.0.1:{port}/{MODEL}"
    if agent.home is None:
        key = {"OPENAI_API_BASE": url, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "stand-in", "ANTHROPIC_BASE_URL": url}
        return Home(key, {}, "")
    denied = policies.agents.permissions.deny
    subscription = agent.model.login == "subscription"
    setting = Setting(
        place.home, place.session.worktree, url, agent.model.name or "", instructions, denied, subscription=subscription
    )
    home = HOMES[agent.home](setting)
    try:
        _write(place.home, home.files)
    except Refused:
        files.remove_tree(place.home)
        _write(files.private_folder(place.home), home.files)
    return home


def _write(home: Path, content: Mapping[str, bytes]) -> None:
    for name, data in content.items():
        safe_path.write(home, home / name, data)
        (home / name).chmod(0o600)


def _permissions(policies: Policies, folder: Path) -> Permissions:
    def scope(path: str) -> str:
        ruling = evaluate.path(policies, path)
        return "" if ruling.allowed else f"{ruling.rule}: {ruling.reason}"

    rules = policies.agents.permissions
    return Permissions(folder, PROTECTED_IN_WORKTREE, rules.allow, rules.deny, scope)
