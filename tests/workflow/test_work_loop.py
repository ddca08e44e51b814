"""Tests of the loop's choice on recorded answers of GitLab: what it does next in each state of the project."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from factory.errors import (
    EvidenceIncomplete,
    FactoryError,
    InvalidInput,
    MachineError,
    Refused,
    Unauthorized,
    Unexpected,
)
from factory.workflow import work_loop
from factory.workflow.claim import lease
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


def broken(error: BaseException) -> Callable[[object], NoReturn]:
    """Return a function that raises an exception that none of the product's code expects."""

    def fail(_: object) -> NoReturn:
        raise error

    return fail


UNEXPECTED = [RecursionError("too deep"), MemoryError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate")]
UNEXPECTED += [AssertionError("a\nb"), ExceptionGroup("several", [KeyError("x")])]


@pytest.mark.parametrize("error", [*UNEXPECTED, asyncio.CancelledError()], ids=lambda error: type(error).__name__)
def test_an_action_that_fails_unexpectedly_rests_and_its_traceback_is_kept(
    tmp_path: Path, held: Slot, error: BaseException
) -> None:
    made = world(tmp_path, "approved")
    recorder = replace(made.context.recorder, signer=broken(error))
    made = replace(made, context=replace(made.context, recorder=recorder))
    failures, log = Failures(), tmp_path / "failures" / "merge-1.log"
    with pytest.raises(Unexpected) as failed:
        once(made, held, failures=failures)
    assert str(failed.value).startswith(f"merge !1 failed with an unexpected {type(error).__name__}: ")
    assert str(failed.value).endswith(f"; the traceback is in {log}")
    assert "\n" not in str(failed.value)
    assert "in fail\n" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    done = once(made, held, failures=failures)
    assert isinstance(done, Idle)
    assert "merge !1 failed, and is tried again later" in done.waiting


def test_the_loop_goes_on_after_an_unexpected_failure(tmp_path: Path, held: Slot) -> None:
    made, told = world(tmp_path, "approved"), list[str]()
    recorder = replace(made.context.recorder, signer=broken(RecursionError("too deep")))
    console = replace(made.context.console, say=told.append)
    context = replace(made.context, recorder=recorder, console=console)
    engine = Engine(held, failpoint=lambda _: None)
    work_loop.register(engine, lambda: context)
    try:
        work_loop.forever(context, engine, held, stopped=lambda: len(told) > 1, wait=lambda _: True)
    finally:
        engine.close()
    assert "merge !1 failed with an unexpected RecursionError: too deep" in told[0]
    assert "merge !1 failed, and is tried again later" in told[1]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=lambda error: type(error).__name__)
def test_what_ends_the_process_ends_the_loop(tmp_path: Path, held: Slot, error: BaseException) -> None:
    made = world(tmp_path, "claimed")
    console = replace(made.context.console, say=broken(error))
    HeldLease(made.context, made.session, minutes=5).release()
    made.gitlab.answers["issues/1"]["labels"] = ["factory::ready"]
    made = replace(made, context=replace(made.context, console=console))
    with pytest.raises(type(error)):
        once(made, held)
    assert not (tmp_path / "failures").exists()


def test_an_issue_that_cannot_be_read_rests_while_the_loop_goes_on(tmp_path: Path, held: Slot) -> None:
    made, failures = world(tmp_path, "claimed"), Failures()
    found = lease.read(made.context.mirror, 1)
    assert found is not None
    bot = made.context.bot_author
    lease.write(
        made.context.mirror, replace(found[0], holder="there/1", expires_at="x"), found[1], author=bot, token=""
    )
    with pytest.raises(Unexpected, match="deliver #1 failed with an unexpected ValueError"):
        once(made, held, failures=failures)
    assert once(made, held, failures=failures) == Idle(("deliver #1 failed, and is tried again later",))


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


@pytest.mark.parametrize("free", [True, False], ids=["free", "taken over"])
@pytest.mark.parametrize("lacks", ["credential", "program"])
def test_an_issue_whose_agent_cannot_start_is_not_claimed(
    tmp_path: Path, held: Slot, lacks: str, *, free: bool
) -> None:
    made = world(tmp_path, "claimed")
    if free:
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
