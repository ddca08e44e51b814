"""What a session does next: a table of nodes and outcomes, and a pure function of the table and what was done.

A node without a line of its own ends the session. ``work`` is entered once for each attempt; if no attempt is left, or
a person must decide, the outcome ``exhausted`` of ``work`` says which node follows instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory.model.agent import Reason
from factory.model.attempt import AttemptResult, Escalation
from factory.policies.agents import Agents
from factory.workflow.session import escalation, routing

Graph = Mapping[str, Mapping[str, str]]
WORK, EXHAUSTED = "work", "exhausted"
FAILED, BLOCKED, HANDED_BACK, PROVIDER_DOWN = "failed", "blocked", "handed back", "provider down"
DOWN = frozenset({Reason.PROVIDER_LIMITED, Reason.AUTH_FAILED})
_ENDS = {
    Reason.NEEDS_INPUT: "question",
    Reason.CANCELLED_BY_HUMAN: "cancelled",
    Reason.SUPERSEDED: "taken over",
}


@dataclass(frozen=True)
class Done:
    """One node that was executed: in which attempt, its outcome, and what later moves depend on.

    ``feedback`` is what the next attempt must fix; ``agent`` and ``tree`` are of an attempt that worked.
    """

    node: str
    attempt: int
    outcome: str
    feedback: tuple[str, ...] = ()
    agent: str = ""
    tree: str = ""


@dataclass(frozen=True)
class Bounds:
    """How many attempts a session has, and which agents have a stronger one to escalate to."""

    attempts: int
    with_stronger: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Move:
    """The node to execute, in which attempt, and for ``work`` how that attempt differs and which agents are down."""

    node: str
    attempt: int
    escalation: Escalation = Escalation.AGAIN
    feedback: tuple[str, ...] = ()
    down: tuple[str, ...] = ()


def next_move(graph: Graph, history: Sequence[Done], bounds: Bounds) -> Move:
    """Return the move that follows on a history; raises ``KeyError`` for an outcome that the graph does not have."""
    if not history:
        node, attempt = next(iter(graph)), 0
    else:
        node, attempt = graph[history[-1].node][history[-1].outcome], history[-1].attempt
    if node != WORK:
        return Move(node, attempt)
    step = _escalation(history, bounds)
    if attempt >= bounds.attempts or step is Escalation.PERSON:
        return Move(graph[WORK][EXHAUSTED], attempt)
    return Move(WORK, attempt + 1, step, _feedback(history), down(history))


def failures(history: Sequence[Done]) -> list[tuple[str, ...]]:
    """Return the feedback of each attempt that failed, oldest first."""
    return [item.feedback for item in history if item.outcome in {FAILED, BLOCKED}]


def down(history: Sequence[Done]) -> tuple[str, ...]:
    """Return the agents whose provider did not serve, oldest first."""
    return tuple(item.agent for item in history if item.node == WORK and item.outcome == PROVIDER_DOWN)


def outcome(result: AttemptResult, *, agents: Agents, unserved: Sequence[str]) -> str:
    """Return the outcome of ``work``; ``unserved`` are the agents whose provider failed in earlier attempts."""
    if result.handed_back:
        return HANDED_BACK
    if result.reason in DOWN:
        substitute = routing.substitute(agents, [*unserved, result.agent.name])
        return "no provider" if substitute is None else PROVIDER_DOWN
    return _ENDS.get(result.reason, "finished")


def _feedback(history: Sequence[Done]) -> tuple[str, ...]:
    """Return what the next attempt must fix: the newest failure, unless a person has changed the work since."""
    told = (item for item in reversed(history) if item.outcome in {FAILED, BLOCKED, HANDED_BACK})
    return next((item.feedback for item in told), ())


def _escalation(history: Sequence[Done], bounds: Bounds) -> Escalation:
    worked = [item for item in history if item.node == WORK and item.outcome != PROVIDER_DOWN]
    trees = [item.tree for item in worked if item.tree and item.outcome != HANDED_BACK]
    return escalation.next_escalation(
        [escalation.fingerprint(item) for item in failures(history)],
        stronger=bool(worked) and worked[-1].agent in bounds.with_stronger,
        circling=escalation.repeats(trees),
    )
