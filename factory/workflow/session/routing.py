"""Which agent takes an attempt: asked for, or by the issue's labels, or the default; then up or aside. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from factory.errors import InvalidInput
from factory.model.attempt import Escalation
from factory.policies.agents import Agent, Agents


@dataclass(frozen=True)
class AgentChoice:
    """An agent by name, its policy, and why it was chosen."""

    name: str
    agent: Agent
    why: str


def choose(
    agents: Agents,
    labels: Collection[str],
    *,
    asked: str | None,
    escalation: Escalation,
    down: Collection[str],
    last: str | None,
) -> AgentChoice:
    """Return the agent of the next attempt.

    ``asked`` is one that a person named, ``last`` that of the attempt before, ``down`` those whose provider does not
    serve. Raises ``InvalidInput`` for one that policy does not know.
    """
    name, why = _first(agents, labels, asked)
    if last is not None:
        name, why = last, "it goes on"
    if escalation is Escalation.STRONGER and (stronger := _get(agents, name).stronger):
        name, why = stronger, f"{name} made no progress"
    seen = {name}
    while name in down and (instead := _get(agents, name).instead) and instead not in seen:
        why = f"the provider of {name} does not serve"
        name = instead
        seen.add(name)
    return AgentChoice(name, _get(agents, name), why)


def substitute(agents: Agents, down: Sequence[str]) -> str | None:
    """Return an agent that can stand in for the last of ``down``, or ``None``."""
    name = down[-1]
    for _ in agents.agents:
        following = _get(agents, name).instead
        if following is None:
            return None
        if following not in down:
            return following
        name = following
    return None


def _first(agents: Agents, labels: Collection[str], asked: str | None) -> tuple[str, str]:
    if asked:
        return asked, "a person named it"
    for route in agents.routes:
        for label in route.labels:
            if label in labels:
                return route.agent, f"the label {label}"
    return agents.default, "the default"


def _get(agents: Agents, name: str) -> Agent:
    if name not in agents.agents:
        raise InvalidInput(f"policies/agents.yml: there is no agent {name!r}; there are {', '.join(agents.agents)}")
    return agents.agents[name]
