"""What a session does next: every path through the table, and what no history may lead to."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.evals.run import EVALUATE
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult, Escalation
from factory.policies.agents import Agents
from factory.policies.folder import read_folder
from factory.workflow.deliver import DELIVER
from factory.workflow.session import next_move as moves
from factory.workflow.session.next_move import Bounds, Done, Graph, Move, next_move
from tests.servers import ROOT

BOUNDS = Bounds(4, frozenset({"weak"}))
CLAIMED = Done("claim", 0, "claimed")


def worked(number: int, outcome: str = "finished", *, agent: str = "replay", tree: str = "") -> Done:
    return Done("work", number, outcome, agent=agent, tree=tree)


def failed(number: int, what: str = "red", outcome: str = "failed") -> Done:
    return Done("check", number, outcome, (what,))


def follow(*history: Done, bounds: Bounds = BOUNDS) -> Move:
    return next_move(DELIVER, history, bounds)


def test_the_straight_line() -> None:
    history: list[Done] = []
    outcomes = iter(["claimed", "finished", "passed", "proposed", "passed"])
    path = []
    while (move := next_move(DELIVER, history, BOUNDS)).node in DELIVER:
        path.append(f"{move.node}-{move.attempt}")
        history.append(Done(move.node, move.attempt, next(outcomes)))
    assert [*path, move.node] == ["claim-0", "work-1", "check-1", "propose-1", "watch-1", "present"]


@pytest.mark.parametrize(
    ("outcome", "node"),
    [("question", "ask"), ("cancelled", "cancel"), ("taken over", "take-over"), ("no provider", "wait")],
)
def test_what_ends_a_session(outcome: str, node: str) -> None:
    assert follow(CLAIMED, worked(1, outcome)) == Move(node, 1)


def test_a_failure_goes_back_to_the_agent_with_what_to_fix() -> None:
    assert follow(CLAIMED, worked(1), failed(1, "red")) == Move("work", 2, feedback=("red",))
    watched = Done("watch", 1, "failed", ("late",))
    assert follow(CLAIMED, worked(1), watched).feedback == ("late",)


def test_the_same_failure_escalates_to_a_person() -> None:
    history = [CLAIMED]
    steps = []
    for number in range(1, 5):
        move = follow(*history, bounds=Bounds(9, frozenset({"weak"})))
        steps.append((move.node, move.escalation))
        history += [worked(number, agent="weak"), failed(number, f"red in line {number}")]
    work = [Escalation.AGAIN, Escalation.AGAIN, Escalation.OTHER, Escalation.STRONGER]
    assert steps == [("work", step) for step in work]
    assert follow(*history, bounds=Bounds(9, frozenset({"weak"}))) == Move("give-up", 4)


def test_attempts_are_bounded() -> None:
    history = [CLAIMED, *(item for number in range(1, 5) for item in (worked(number), failed(number, str(number) * 3)))]
    assert follow(*history, bounds=Bounds(4)) == Move("give-up", 4)


def test_a_blocked_attempt_that_fails_is_not_repeated() -> None:
    assert follow(CLAIMED, worked(1), failed(1, outcome="blocked")) == Move("give-up", 1)
    assert follow(CLAIMED, worked(1), Done("watch", 1, "blocked", ("x",))) == Move("give-up", 1)


def test_a_provider_that_is_down_costs_an_attempt_and_no_failure() -> None:
    history = [CLAIMED, worked(1, "provider down", agent="codex"), Done("check", 1, "provider down")]
    assert follow(*history) == Move("work", 2, down=("codex",))
    history += [worked(2), failed(2)]
    assert follow(*history) == Move("work", 3, feedback=("red",), down=("codex",))


def test_what_a_person_changed_replaces_the_feedback() -> None:
    history = [CLAIMED, worked(1), failed(1), worked(2, "handed back", agent="person", tree="a")]
    assert follow(*history) == Move("work", 3)


def test_going_round_in_circles_counts_as_the_same_failure() -> None:
    history = [CLAIMED]
    for number, tree in enumerate("aba", 1):
        history += [worked(number, tree=tree), failed(number, f"{tree}{tree}")]
    assert follow(*history).escalation is Escalation.OTHER


def test_an_unknown_outcome_is_an_error() -> None:
    with pytest.raises(KeyError):
        follow(Done("claim", 0, "bogus"))


@pytest.mark.parametrize("graph", [DELIVER, EVALUATE])
@given(data=st.data())
def test_every_path_ends_within_its_bounds(graph: Graph, data: st.DataObject) -> None:
    bounds = Bounds(data.draw(st.integers(1, 6)), frozenset({"weak"}))
    history: list[Done] = []
    while (move := next_move(graph, history, bounds)).node in graph:
        assert move.node != "work" or 1 <= move.attempt <= bounds.attempts
        outcomes = [name for name in graph[move.node] if name != moves.EXHAUSTED]
        outcome = data.draw(st.sampled_from(outcomes))
        feedback = tuple(data.draw(st.lists(st.sampled_from(["red", "late"]), min_size=1, max_size=2)))
        told = feedback if outcome in {"failed", "blocked"} else ()
        history.append(Done(move.node, move.attempt, outcome, told, "weak", data.draw(st.sampled_from("ab"))))
        assert len(history) <= 1 + 4 * bounds.attempts
    worked_on = [item.attempt for item in history if item.node == "work"]
    assert worked_on == list(range(1, len(worked_on) + 1))


@pytest.mark.parametrize("graph", [DELIVER, EVALUATE])
def test_every_node_can_be_reached_and_every_session_can_end(graph: Graph) -> None:
    reached, waiting = set(), [next(iter(graph))]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += graph.get(node, {}).values()
    assert graph.keys() <= reached
    assert reached - graph.keys()


def result(reason: Reason, agent: str = "codex", *, handed_back: bool = False) -> AttemptResult:
    return AttemptResult(1, "b", None, reason, "", AgentRef(agent), handed_back=handed_back)


AGENTS: Agents = read_folder(ROOT).agents


@pytest.mark.parametrize(
    ("found", "unserved", "outcome"),
    [
        (result(Reason.DONE_FOR_REVIEW), (), "finished"),
        (result(Reason.CRASHED), (), "finished"),
        (result(Reason.DONE_FOR_REVIEW, handed_back=True), (), "handed back"),
        (result(Reason.NEEDS_INPUT), (), "question"),
        (result(Reason.CANCELLED_BY_HUMAN), (), "cancelled"),
        (result(Reason.SUPERSEDED), (), "taken over"),
        (result(Reason.PROVIDER_LIMITED), (), "provider down"),
        (result(Reason.AUTH_FAILED, "replay"), (), "no provider"),
        (result(Reason.PROVIDER_LIMITED), tuple(AGENTS.agents), "no provider"),
    ],
)
def test_the_outcome_of_work(found: AttemptResult, unserved: Sequence[str], outcome: str) -> None:
    assert moves.outcome(found, agents=AGENTS, unserved=unserved) == outcome
