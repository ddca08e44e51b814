"""Lets an agent do one tiny task on its real model, with the person's login, in the sandbox of an attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from factory.agents import token_costs
from factory.agents.task import Ending, driver
from factory.errors import NotFound
from factory.instance import agent_trial, agent_trial_script
from factory.instance.context import machine
from factory.instance.workspace import Workspace
from factory.model.agent import Reason, Turn
from factory.model.session import Session
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.sandbox import launch
from factory.system import clock, files
from factory.workflow.session import credentials, launch_plan
from factory.workflow.session.routing import AgentChoice

# What a tiny turn may take: seconds, tool calls, tokens and US dollars.
SECONDS = 120.0
_CALLS, _TOKENS, _USD = 10, 200_000, 0.5
_TASK = (
    f"Write the file {agent_trial_script.FILE} in the current folder. Its only line is: "
    f"{agent_trial_script.CONTENT.strip()}. Do nothing else, then stop."
)


@dataclass(frozen=True)
class TinyTurn:
    """How the turn ended, whether the file was written, and what it cost.

    ``source`` says who counted the tokens. ``cost`` is a text: US dollars, or why there are none.
    """

    name: str
    reason: str
    detail: str
    wrote: bool
    seconds: float
    tokens: int
    source: str
    cost: str


def take(workspace: Workspace, policies: Policies, name: str) -> TinyTurn:
    """Run the agent once, for at most two minutes and half a dollar; its files are deleted afterwards.

    Raises ``NotFound`` if policy has no such agent, ``Unauthorized`` without its login, ``MachineError`` if it is not
    installed.
    """
    agent = policies.agents.agents.get(name)
    if agent is None:
        raise NotFound(f"policies/agents.yml names no agent {name}", hint="See `factory agent list`.")
    small = {"turns": _CALLS, "tokens": _TOKENS, "usd": _USD, "turn_seconds": int(SECONDS)}
    agent = agent.model_copy(update={"limits": agent.limits.model_copy(update=small)})
    with TemporaryDirectory(prefix="factory-turn-") as folder:
        began = clock.monotonic()
        turn, wrote = _run(workspace, policies, name, agent, Path(folder))
        seconds = clock.monotonic() - began
    return TinyTurn(
        name=name,
        reason=turn.reason.value,
        detail=turn.detail,
        wrote=wrote,
        seconds=round(seconds, 1),
        tokens=token_costs.total(turn.usage),
        source=turn.source,
        cost=_cost(agent, turn.usage),
    )


def _run(workspace: Workspace, policies: Policies, name: str, agent: Agent, folder: Path) -> tuple[Turn, bool]:
    context = agent_trial.alone(workspace, folder, "")
    context = replace(context, machine=machine(workspace, state=folder, holder="turn"))
    session = Session("turn", 1, files.private_folder(folder / "session"))
    agent_trial.begin(context, session)
    attempt = files.private_folder(session.attempt(1))
    brief = agent_trial_script.WORK if agent.model is None else _TASK
    files.write_atomic(attempt / "brief.md", brief.encode())
    chosen = AgentChoice(name, agent_trial.with_recordings(agent, attempt), "one tiny turn")
    launch_plan.require(context, chosen)
    deadline = clock.monotonic() + SECONDS

    def late() -> Ending | None:
        return (Reason.TIMED_OUT, f"no end within {SECONDS:g} s") if clock.monotonic() > deadline else None

    with credentials.held(context, agent, record=_ignored, tick=late) as ending:
        if ending is not None:
            reason, detail = ending
            return Turn(reason, detail), False
        with (
            launch_plan.prepare(
                context, session, 1, policies=agent_trial.without_rules(policies), chosen=chosen, brief=brief,
                amount=launch_plan.requested_amount(agent), record=_ignored,
            ) as given,
            (attempt / "stderr.log").open("wb") as errors,
        ):  # fmt: skip
            prepared = launch.prepare(given.launch)
            try:
                turn = driver(agent.protocol)(prepared, given.task, record=_ignored, errors=errors, tick=late)
            finally:
                launch.put_back(prepared)
    target = session.worktree / agent_trial_script.FILE
    return turn, target.is_file() and agent_trial_script.CONTENT.strip() in target.read_text(errors="replace")


def _cost(agent: Agent, usage: Mapping[str, int]) -> str:
    if agent.model is None:
        return "no model"
    if agent.model.login == "subscription":
        return "on a plan"
    if agent.prices is None:
        return "of unknown price"
    return (
        f"{token_costs.cost(usage, launch_plan.rates(agent)) / 1_000_000:.4f} USD by prices of {agent.prices.version}"
    )


def _ignored(event: Mapping[str, object]) -> None:
    """Ignore an event of the turn."""
