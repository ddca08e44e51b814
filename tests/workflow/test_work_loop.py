"""Tests of the loop's choice on recorded answers of GitLab: what it does next in each state of the project."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import EvidenceIncomplete, FactoryError, InvalidInput, MachineError, Refused, Unauthorized
from factory.workflow import work_loop
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.durable_steps import Engine, Slot, slot
from factory.workflow.work_queue import Failures, Idle
from tests.workflow.recorded_gitlab import Failure, World, world


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Slot]:
    with slot(tmp_path / "engine") as found:
        yield found


def once(
    made: World, held: Slot, *, issue: int | None = None, failures: Failures | None = None
) -> work_loop.WorkResult | Idle:
    """Do one action, with a durable engine of its own."""
    engine = Engine(held, failpoint=lambda _: None)
    work_loop.register(engine, lambda: made.context)
    try:
        return work_loop.once(made.context, engine, held, issue=issue, failures=failures)
    finally:
        engine.close()


def test_what_waits_for_review_is_told(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "review")
    made.context.mirror.push(made.head, "factory/review-only", "")
    done = once(made, held)
    assert isinstance(done, Idle)
    assert "!1 waits for review" in done.waiting


def test_an_approved_merge_request_is_merged_and_planned(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "approved")
    made.gitlab.then["PUT merge_requests/1/merge"] = lambda: made.follow("planned")
    done = once(made, held)
    assert isinstance(done, work_loop.WorkResult)
    assert (done.action.kind, done.outcome.state) == ("merge", "planned")


def test_a_deployment_that_was_approved_is_applied(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "planned")
    jobs = [item for path, found in made.gitlab.answers.items() if path.endswith("/jobs") for item in found]
    number = max(item["id"] for item in jobs if item["name"] == "apply-production")
    made.gitlab.then[f"POST jobs/{number}/play"] = lambda: made.follow("deployed")
    done = once(made, held)
    assert isinstance(done, work_loop.WorkResult)
    assert (done.action.kind, done.outcome.state) == ("deploy", "closed")


def test_a_merge_request_that_can_not_be_merged_is_blocked_and_says_why(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "approved")
    for note in made.gitlab.answers["merge_requests/1/notes"]:
        note["body"] = note["body"].replace("- policy: `", "- policy: `0")
    with pytest.raises(Refused, match="has changed since its approval"):
        once(made, held)
    assert ("factory::blocked", "") in made.gitlab.labels("merge_requests/1")
    assert any("Blocked: !1 has changed since its approval" in body for body in made.gitlab.notes("merge_requests/1"))


def test_an_action_that_fails_rests_while_the_loop_goes_on(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "approved")
    made.gitlab.answers["PUT merge_requests/1/merge"] = Failure(500, "out of order")
    failures = Failures()
    with pytest.raises(FactoryError, match="out of order"):
        once(made, held, failures=failures)
    done = once(made, held, failures=failures)
    assert isinstance(done, Idle)
    assert "merge !1 failed, and is tried again later" in done.waiting


def test_a_merge_request_without_its_evidence_is_blocked(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "approved")
    made.forget_evidence()
    with pytest.raises(EvidenceIncomplete):
        once(made, held)
    assert ("factory::blocked", "") in made.gitlab.labels("merge_requests/1")


def test_another_issues_work_is_left_alone(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "approved")
    done = once(made, held, issue=2)
    assert isinstance(done, Idle)
    assert not any(item.path.endswith("/merge") for item in made.gitlab.sent)


def test_an_issue_without_a_spec_is_told_so_and_not_claimed(tmp_path: Path, held: Slot) -> None:
    made = world(tmp_path, "claimed")
    HeldLease(made.context, made.session, minutes=5).release()
    for item in (made.gitlab.answers["issues/1"], *made.gitlab.answers["issues"]):
        item["description"] = "Greet."
        item["labels"] = ["factory::ready"]
    with pytest.raises(InvalidInput, match="#1 cannot be worked on"):
        once(made, held)
    assert ("factory::blocked", "factory::ready") in made.gitlab.labels("issues/1")


@pytest.mark.parametrize("lacks", ["credential", "program"])
def test_an_issue_whose_agent_cannot_start_is_not_claimed(tmp_path: Path, held: Slot, lacks: str) -> None:
    made = world(tmp_path, "claimed")
    HeldLease(made.context, made.session, minutes=5).release()
    for item in (made.gitlab.answers["issues/1"], *made.gitlab.answers["issues"]):
        item["labels"] = ["factory::ready"]
    context = made.context
    machine = replace(context.machine, credential=lambda _: "", agents_path="/nonexistent")
    if lacks == "program":
        machine = replace(machine, credential=lambda _: "a key")
    made = replace(
        made, context=replace(context, machine=machine, console=replace(context.console, agent_name="codex"))
    )
    before = made.context.mirror.head("factory/leases/1")
    error: type[FactoryError] = Unauthorized if lacks == "credential" else MachineError
    with pytest.raises(error, match="is not set" if lacks == "credential" else "is not installed"):
        once(made, held)
    assert made.context.mirror.head("factory/leases/1") == before
    assert made.gitlab.labels("issues/1") == []
