"""The result of one attempt, and how the next attempt differs from it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from factory.model.agent import Reason
from factory.model.plan_window import PlanWindow


class Escalation(enum.StrEnum):
    """How the next attempt differs: it gets the findings, another approach, a stronger agent, or a person decides."""

    AGAIN = "again"
    OTHER = "other strategy"
    STRONGER = "stronger model"
    PERSON = "person"


@dataclass(frozen=True)
class AgentRef:
    """Who worked: an agent of policy or a person, the version, the model, and the digest of the brief's template."""

    name: str
    version: str = ""
    model: str | None = None
    brief: str = ""


@dataclass(frozen=True)
class Cost:
    """What an attempt cost in millionths of a US dollar, by which price list, and who counted the tokens.

    ``priced`` is false if nobody knows the price of the model, ``billed`` if a plan's fee pays for the tokens: then the
    amount is what the list price would be.
    """

    usd_micros: int = 0
    prices: str | None = None
    source: str = "provider"
    priced: bool = True
    billed: bool = True


@dataclass(frozen=True)
class RequestRecord:
    """One request of the agent and the decision about it, with digests of what it changed before and after."""

    id: str
    kind: str
    result: str
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class AttemptResult:
    """The result of one attempt.

    ``head`` is the commit of the work, ``None`` if nothing changed; ``tree`` is that commit's tree. ``usage`` counts
    tokens by name, ``seconds`` is the agent's time. ``level`` and ``limits`` say how the sandbox held the agent.
    ``resume`` is the agent's own session id, ``reset_at`` the time at which a limited provider serves again.
    ``windows`` are those of the agent's plan. ``refused`` lists requests that policy refused. ``proposed`` says that
    the commit is on the session's branch, ``handed_back`` that a person changed the work after this attempt.
    """

    attempt: int
    base: str
    head: str | None
    reason: Reason
    detail: str
    agent: AgentRef
    tree: str = ""
    seconds: float = 0.0
    usage: Mapping[str, int] = field(default_factory=dict)
    cost: Cost = Cost()
    level: str = "host"
    limits: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    calls: int = 0
    resume: str = ""
    reset_at: str = ""
    windows: tuple[PlanWindow, ...] = ()
    escalation: Escalation = Escalation.AGAIN
    question: str | None = None
    outputs: tuple[RequestRecord, ...] = ()
    refused: tuple[str, ...] = ()
    proposed: bool = False
    handed_back: bool = False

    @property
    def total_tokens(self) -> int:
        """Return how many tokens the attempt took, as its provider or agent counted them."""
        return self.usage.get("total_tokens", 0)
