"""Tests of schedule, lease and retry."""

from datetime import UTC, datetime, timedelta

import pytest

from factory.errors import Conflict, FactoryError, Refused, Unreachable
from factory.workflow import retry, work_queue
from factory.workflow.claim import lease
from factory.workflow.claim.lease import Claim
from factory.workflow.work_queue import Action, Candidate, Idle, Request

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def request(*, pipeline: str = "", **fields: bool) -> Request:
    usual = {"merged": False, "approved": False, "planned": False, "deploy_approved": False, "deploy_begun": False}
    return Request(iid=1, pipeline=pipeline, **{**usual, **fields})


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (request(), None),
        (request(approved=True), "merge"),
        (request(merged=True), "merge"),
        (request(merged=True, planned=True), None),
        (request(merged=True, planned=True, deploy_approved=True), "deploy"),
        (request(merged=True, planned=True, deploy_begun=True), "deploy"),
        (request(shown=False), "review"),
        (request(shown=False, approved=True), "review"),
        (request(behind=True, approved=True), None),
        (request(behind=True, shown=False), None),
        (request(merged=True, shown=True), "merge"),
    ],
)
def test_next_action_for_a_merge_request(state: Request, action: str | None) -> None:
    chosen = work_queue.choose([], [state])
    assert chosen == Action(action, 1) if action else isinstance(chosen, Idle) and chosen.waiting


@pytest.mark.parametrize(
    ("state", "waiting"),
    [
        (request(), ("!1 waits for review",)),
        (request(planned=True), ("!1 waits for review",)),
        (
            request(merged=True, planned=True, deploy_begun=True, interrupted=True),
            ("!1 has an interrupted apply: examine it with `factory infra recover 1`",),
        ),
        (request(planned=True, deploy_approved=True, deploy_begun=True), ("!1 waits for review",)),
        (
            request(unseen=True),
            ("!1 waits for review: approve it again with `factory mr approve 1`, now that its review note is written",),
        ),
        (
            request(alone=True, unseen=True),
            ("!1 waits for review: merge it yourself with `factory mr merge 1` (separation: none)",),
        ),
        (request(pipeline="running"), ("!1 waits for its pipeline, which is running",)),
        (
            request(pipeline="failed"),
            ("!1 waits for its pipeline, which is failed: see `factory mr show 1`",),
        ),
        (request(behind=True), ("!1 lacks commits of main, and waits for a rebase by its author",)),
        (request(merged=True, planned=True), ("!1 waits for the approval of its deployment",)),
        (request(merged=True, approved=True, planned=True), ("!1 waits for the approval of its deployment",)),
    ],
)
def test_what_is_waited_for_is_told(state: Request, waiting: tuple[str, ...]) -> None:
    assert work_queue.choose([], [state]) == Idle(waiting)


def test_all_that_is_waited_for_is_told_and_deployments_come_first() -> None:
    waits, merges = request(), request(approved=True)
    deploys = request(merged=True, planned=True, deploy_approved=True)
    assert work_queue.choose([], [merges, deploys]).kind == "deploy"  # type: ignore[union-attr]
    held = [Candidate(4, Claim.HELD), Candidate(5, Claim.HELD)]
    told = ("!1 waits for review", "#4 is held by another session", "#5 is held by another session")
    assert work_queue.choose(held, [waits]) == Idle(told)


def test_finish_before_starting_and_resume_before_taking() -> None:
    both = [Candidate(2, Claim.TAKE), Candidate(3, Claim.RESUME)]
    assert work_queue.choose(both, [request(approved=True)]) == Action("merge", 1)
    assert work_queue.choose(both, [request()]) == Action("deliver", 3)
    assert work_queue.choose(both[:1], []) == Action("deliver", 2)
    assert work_queue.choose([Candidate(4, Claim.HELD)], []) == Idle(("#4 is held by another session",))
    assert work_queue.choose([], []) == Idle(())


def test_what_failed_rests_and_lets_others_go_on() -> None:
    failures, first = work_queue.Failures(), Action("deliver", 1)
    both = [Candidate(1, Claim.RESUME), Candidate(2, Claim.TAKE)]
    failures.add(first, now=100.0)
    assert work_queue.choose(both, [], failures.resting(159.0)) == Action("deliver", 2)
    assert work_queue.choose(both, [], failures.resting(160.0)) == first
    failures.add(first, now=160.0)
    assert failures.resting(279.0) == {first}
    assert work_queue.choose(both[:1], [], failures.resting(279.0)) == Idle(
        ("deliver #1 failed, and is tried again later",)
    )
    for _ in range(10):
        failures.add(first, now=0.0)
    assert failures.resting(3599.0) == {first}
    assert not failures.resting(3600.0)
    failures.forget(first)
    assert not failures.resting(0.0)


def test_a_merge_request_that_failed_rests_as_a_whole() -> None:
    resting = frozenset({Action("deploy", 1)})
    chosen = work_queue.choose(
        [Candidate(2, Claim.TAKE)], [request(merged=True, planned=True, deploy_begun=True)], resting
    )
    assert chosen == Action("deliver", 2)


def held(holder: str, *, minutes: float = 5, released: bool = False, wait: float | None = None) -> lease.Lease:
    expires = (NOW + timedelta(minutes=minutes)).isoformat()
    not_before = "" if wait is None else (NOW + timedelta(minutes=wait)).isoformat()
    return lease.Lease(1, "s", holder, expires, 1, released, not_before=not_before)


@pytest.mark.parametrize(
    ("found", "lives", "claim"),
    [
        (None, False, Claim.TAKE),
        (held("me/0", released=True), False, Claim.TAKE),
        (held("me/0"), True, Claim.RESUME),
        (held("me/1"), True, Claim.HELD),
        (held("me/1"), False, Claim.RESUME),
        (held("other/0"), False, Claim.HELD),
        (held("other/0", minutes=-1), False, Claim.RESUME),
        (held("other/0", minutes=0), True, Claim.RESUME),
        (held("other/0", minutes=-1), True, Claim.RESUME),
        (held("me/1", minutes=-1), True, Claim.HELD),
        (held("me/0", minutes=-1), False, Claim.RESUME),
        (held("me/0", released=True, wait=1), False, Claim.HELD),
        (held("me/0", released=True, wait=0), False, Claim.TAKE),
        (held("me/0", released=True, wait=-1), False, Claim.TAKE),
        (held("me/0", wait=1), False, Claim.RESUME),
    ],
)
def test_what_a_holder_may_do_with_a_lease(found: lease.Lease | None, lives: bool, claim: Claim) -> None:  # noqa: FBT001 - parametrized
    assert lease.judge(found, holder="me/0", now=NOW, holder_lives=lives) is claim


@pytest.mark.parametrize(("error", "again"), [(Unreachable("x"), True), (Refused("x"), False), (Conflict("x"), False)])
def test_only_unreachable_is_retried(error: FactoryError, again: bool) -> None:  # noqa: FBT001 - parametrized
    assert (retry.delay(error, 1) is not None) is again
    assert retry.delay(error, 99) is None


def test_the_pauses_grow_and_end() -> None:
    assert [retry.delay(Unreachable("x"), tries) for tries in range(1, 8)] == [0.2, 0.5, 1.0, 2.0, 4.0, None, None]
