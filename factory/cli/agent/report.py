"""Builds the output of ``factory agent list`` and ``factory agent doctor``."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from factory.agents import doctor
from factory.errors import AgentFailed, GateFailed, InvalidInput, NotFound
from factory.instance import agent_trial, agent_turn
from factory.instance.agent_turn import TinyTurn
from factory.instance.context import machine
from factory.instance.workspace import Workspace
from factory.policies.agents import Agent
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.reports.tables import table
from factory.system import process
from factory.workflow.session import credentials

_AT_ONCE = 2
COLUMNS = (
    "name",
    "default",
    "protocol",
    "version",
    "model",
    "login",
    "sandbox",
    "installed",
    "credential",
    "stronger",
    "instead",
    "prices",
)
_SHOWN = {doctor.Answer.NOT_APPLICABLE: "-"}


@dataclass(frozen=True)
class AgentRow:
    """One agent of policies/agents.yml, and whether its program and credential exist here; no credential is shown."""

    name: str
    default: str
    protocol: str
    version: str
    model: str
    login: str
    sandbox: str
    installed: str
    credential: str
    stronger: str
    instead: str
    prices: str


@dataclass(frozen=True)
class TrialRow:
    """The result of one agent's trial: an answer per ability, and the required abilities that it lacks."""

    name: str
    version: str
    state: str
    cells: tuple[doctor.Cell, ...] = ()
    broken: tuple[str, ...] = ()


def listed(workspace: Workspace) -> list[AgentRow]:
    """Return the agents of policies/agents.yml; raises ``InvalidInput``."""
    policies = read_folder(workspace.settings.clone)
    return [_listed(workspace, policies, name, agent) for name, agent in policies.agents.agents.items()]


def tried(workspace: Workspace, names: Sequence[str]) -> list[TrialRow]:
    """Try agents out, two at a time; without names, all. Raises ``NotFound`` if policy does not name an agent."""
    policies = read_folder(workspace.settings.clone)
    for name in names:
        if name not in policies.agents.agents:
            raise NotFound(f"policies/agents.yml names no agent {name}", hint="See `factory agent list`.")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(functools.partial(trial, workspace, policies), names or policies.agents.agents))


def trial(workspace: Workspace, policies: Policies, name: str) -> TrialRow:
    """Try one agent out, if it is installed."""
    agent = policies.agents.agents[name]
    if not _installed(workspace, agent):
        return TrialRow(name, "", f"not installed: {doctor.installs(agent.command[0])}")
    if not agent_trial.speaks(agent):
        return TrialRow(name, "", f"not tried: the stub does not speak the API {agent.model and agent.model.api}")
    seen = agent_trial.tried(workspace, policies, name)
    cells = doctor.judged(seen)
    return TrialRow(name, doctor.version(seen), "tried", cells, doctor.broken(cells, agent.capabilities))


def tiny_turn(workspace: Workspace, names: Sequence[str]) -> TinyTurn:
    """Let one agent do a tiny task with the person's login; raises ``InvalidInput`` unless one is named."""
    if len(names) != 1:
        raise InvalidInput("--own-login spends money or windows of your plan: name one agent")
    return agent_turn.take(workspace, read_folder(workspace.settings.clone), names[0])


def turn_text(turn: TinyTurn) -> str:
    """Return a tiny turn as a line."""
    wrote = "wrote the file" if turn.wrote else f"did not write the file: {turn.detail}"
    spent = f"{turn.tokens} tokens by {turn.source}; {turn.cost}"
    return f"{turn.name}: {turn.reason} in {turn.seconds:.1f} s; it {wrote}; {spent}"


def require_written(turn: TinyTurn) -> None:
    """Raise ``AgentFailed`` if a tiny turn did not do its task."""
    if not turn.wrote:
        raise AgentFailed(
            f"{turn.name} did not write the file: {turn.reason}: {turn.detail}", hint="See docs/agents.md."
        )


def require(found: Sequence[TrialRow]) -> None:
    """Raise ``GateFailed`` if an agent lacks a required ability."""
    failing = [f"{item.name} ({', '.join(item.broken)})" for item in found if item.broken]
    if failing:
        raise GateFailed(
            f"agents lack abilities that policy claims: {'; '.join(failing)}",
            hint="Install the version that policies/agents.yml names, or remove the capability there.",
        )


def text(found: Sequence[TrialRow]) -> str:
    """Return a table of the tried agents, the untried agents, and the reason of each "no"."""
    tried = [item for item in found if item.cells]
    lines = []
    if tried:
        rows: list[list[object]] = [
            [item.name, item.version, *(_SHOWN.get(cell.answer, cell.answer.value) for cell in item.cells)]
            for item in tried
        ]
        lines.append(table(["agent", "version", *(cell.ability for cell in tried[0].cells)], rows))
    lines += [f"{item.name}: {item.state}" for item in found if not item.cells]
    lines += [
        f"{item.name} {cell.ability}: {cell.reason}" + (" (required)" if cell.ability in item.broken else "")
        for item in tried
        for cell in item.cells
        if cell.answer is doctor.Answer.NO
    ]
    return "\n".join(lines)


def _installed(workspace: Workspace, agent: Agent) -> bool:
    return process.find(agent.command[0], workspace.tools.agents_path) is not None


def _listed(workspace: Workspace, policies: Policies, name: str, agent: Agent) -> AgentRow:
    here = machine(workspace, state=workspace.state, holder="")
    return AgentRow(
        name=name,
        default="default" if name == policies.agents.default else "",
        protocol=agent.protocol,
        version=agent.version,
        model=agent.model.called if agent.model else "",
        login=agent.model.login if agent.model else "",
        sandbox=agent.sandbox.value,
        installed="yes" if _installed(workspace, agent) else f"no: {doctor.installs(agent.command[0])}",
        credential=credentials.describe(here, agent),
        stronger=agent.stronger or "",
        instead=agent.instead or "",
        prices=agent.prices.version if agent.prices else "",
    )
