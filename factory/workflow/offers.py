"""Reads from GitLab and git what the loop chooses from: issues with their leases, and merge requests."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from factory.errors import FactoryError, NotFound, Refused, Unreachable
from factory.gitlab import issues, merge_requests
from factory.model.gitlab import Issue, MergeRequest
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow import unexpected
from factory.workflow.claim import lease
from factory.workflow.context import Context
from factory.workflow.durable_steps import Slot
from factory.workflow.release import approvals, review, rollout, shipment
from factory.workflow.work_queue import Action, Candidate, Failures, Request

Value = TypeVar("Value")


def read(
    context: Context, held: Slot, policies: Policies, failures: Failures, only: int | None
) -> tuple[list[Candidate], list[Request]]:
    """Return the issues and the merge requests that may be worked on; ``only`` limits both to one issue.

    What rests after a failure is not read. What cannot be read counts as failed, so that the next look passes over it.
    """
    resting = failures.resting(clock.monotonic())

    def looked(action: Action, look: Callable[[], Value]) -> list[Value]:
        if action in resting:
            return []
        try:
            with unexpected.kept(context.machine.state, str(action)):
                return [look()]
        except Unreachable:
            # Says nothing about this issue or merge request.
            raise
        except FactoryError:
            failures.add(action, clock.monotonic())
            raise

    candidates = [
        found
        for issue in _issues(context, policies, only)
        for found in looked(Action("deliver", issue.iid), partial(_candidate, context, held, issue))
    ]
    requests = [
        found
        for request in _requests(context, policies)
        if only is None or _is_of(context, request, only)
        for found in looked(
            Action("deploy" if request.state == "merged" else "merge", request.iid),
            partial(_state, context, policies, request),
        )
    ]
    return candidates, requests


def _issues(context: Context, policies: Policies, only: int | None) -> list[Issue]:
    """Return the open issues that are ready or claimed, oldest first."""
    labels = policies.session.labels
    found = {
        item.iid: item
        for label in (labels.claimed, labels.ready)
        for item in issues.find(context.bot, labels=[label])
        if only in (None, item.iid)
    }
    for branch in context.mirror.branches(lease.PREFIX):
        number = int(branch.removeprefix(lease.PREFIX)) if branch.removeprefix(lease.PREFIX).isdigit() else 0
        held = lease.read(context.mirror, number)
        if held and not held[0].released and number not in found and only in (None, number):
            with suppress(NotFound):
                issue = issues.get(context.bot, number)
                if issue.state == "opened":
                    found[number] = issue
    return sorted(found.values(), key=lambda item: item.iid)


def _candidate(context: Context, held: Slot, issue: Issue) -> Candidate:
    found = lease.read(context.mirror, issue.iid)
    current = found[0] if found else None
    lives = False
    if current is not None:
        _, _, number = current.holder.rpartition("/")
        taken_over = number == lease.PERSON and clock.parse(current.expires_at) > clock.now()
        lives = taken_over or (number.isdigit() and held.lives(int(number)))
    claim = lease.judge(current, holder=context.machine.holder, now=clock.now(), holder_lives=lives)
    return Candidate(issue.iid, claim)


def _requests(context: Context, policies: Policies) -> list[MergeRequest]:
    labels = policies.session.labels
    found = [
        *merge_requests.find(context.bot, labels=[labels.review]),
        *merge_requests.find(context.bot, state="merged", labels=[labels.review]),
        *merge_requests.find(context.bot, state="merged", labels=[labels.shipping]),
        *merge_requests.find(context.bot, state="merged", labels=[labels.apply_unknown]),
    ]
    unique = {request.iid: request for request in found if labels.blocked not in request.labels}
    return [request for _, request in sorted(unique.items())]


def _state(context: Context, policies: Policies, request: MergeRequest) -> Request:
    """Read the state of a merge request from GitLab."""
    merged = request.state == "merged"
    given = merge_requests.approvals(context.bot, request.iid) if not merged else []
    allowed = policies.approvals.merge.approvers
    counted = approvals.counting(context, given, author=request.author, agents=policies.scope.agents, approvers=allowed)
    enough = len(counted) >= (1 if merged else approvals.required(context, request, policies, len(counted)))
    if not merged and not enough:
        review.hold_head(context, request)
    planned = approved = begun = False
    pipeline = shipment.main_pipeline(context, request.sha) if merged else None
    if pipeline is not None:
        notes = issues.notes(context.bot, "merge_requests", request.iid)
        planned = any(note.body.startswith(f"<!-- factory:{review.deploy_mark(pipeline.id)} -->") for note in notes)
        deployment = rollout.deployment_of(context, pipeline, policies.environments.deploy)
        if deployment is not None and planned:
            job = rollout.job_of(context, pipeline.id, rollout.APPLY, policies.environments.deploy)
            given = rollout.decisions(context, deployment, job)
            votes = approvals.counting(context, given, author=request.author, agents=policies.scope.agents)
            approved = len(votes) >= policies.environments.target.approvals and deployment.status != "blocked"
            begun = deployment.status in {"running", "success", "failed", "canceled"}
    return Request(
        iid=request.iid,
        merged=merged,
        approved=enough,
        planned=planned,
        deploy_approved=approved,
        deploy_begun=begun,
        interrupted=policies.session.labels.apply_unknown in request.labels,
    )


def _is_of(context: Context, request: MergeRequest, issue: int) -> bool:
    with suppress(NotFound, Refused):
        return shipment.issue_of(context, request).number == issue
    return False
