"""Reads from GitLab and git what the loop chooses from: issues with their leases, and merge requests."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from factory.errors import FactoryError, NotFound, Unreachable
from factory.gitlab import issues
from factory.model.gitlab import Issue
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow import unexpected
from factory.workflow.claim import lease
from factory.workflow.context import Context
from factory.workflow.durable_steps import Slot
from factory.workflow.release import request_state
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
        for request in request_state.find(context, policies, only)
        for found in looked(
            Action("deploy" if request.state == "merged" else "merge", request.iid),
            partial(request_state.read, context, policies, request),
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
