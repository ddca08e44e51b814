"""Chooses the agent of an attempt: by request, label or default, then a stronger one or a substitute. Pure."""

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

    ``asked`` is the agent that a person named, ``last`` the agent of the attempt before, ``down`` the agents with an
    unavailable provider. Raises ``InvalidInput`` for an agent that the policy does not list.
    """
    name, why = _first(agents, labels, asked)
    if last is not None:
        name, why = last, "same agent as before"
    if escalation is Escalation.STRONGER and (stronger := _get(agents, name).stronger):
        name, why = stronger, f"{name} made no progress"
    tried = {name}
    while name in down and (instead := _get(agents, name).instead) and instead not in tried:
        why = f"the provider of {name} is unavailable"
        name = instead
        tried.add(name)
    return AgentChoice(name, _get(agents, name), why)


def first(agents: Agents, labels: Collection[str], *, asked: str | None) -> AgentChoice:
    """Return the agent of a session's first attempt; raises ``InvalidInput`` as ``choose``."""
    return choose(agents, labels, asked=asked, escalation=Escalation.AGAIN, down=(), last=None)


def substitute(agents: Agents, down: Sequence[str]) -> str | None:
    """Return an available agent that replaces the last one of ``down``, or ``None``."""
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
