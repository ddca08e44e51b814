"""The main loop: reads GitLab, chooses the next action, runs it and starts again."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from factory.errors import EvidenceIncomplete, FactoryError, InvalidInput, NotFound, Refused
from factory.gitlab import accounts, change_poll, issues, merge_requests
from factory.gitlab.change_poll import LastChanges
from factory.model.gitlab import Issue
from factory.model.session import Outcome, Session
from factory.policies.model import Policies
from factory.system import clock, files
from factory.workflow import offers, ship, unexpected, work_queue
from factory.workflow.claim import intake, issue_spec, lease, questions, sessions
from factory.workflow.context import Context
from factory.workflow.deliver import deliver
from factory.workflow.drift import scheduled
from factory.workflow.durable_steps import Engine, Slot, Steps
from factory.workflow.session import handover, launch_plan, results, routing

# Seconds between two checks for changes: on the simulator, and on a server with rate limits. Then seconds between two
# complete reads of GitLab.
_LOCAL_PAUSE, _REMOTE_PAUSE, _FULL_READ = 3.0, 15.0, 30.0


@dataclass(frozen=True)
class WorkResult:
    """One action and the state in which it left the issue or merge request."""

    action: work_queue.Action
    outcome: Outcome


@dataclass(frozen=True)
class Delivery:
    """What the workflow ``deliver`` is given: an issue and its session."""

    issue: int
    session: str


@dataclass(frozen=True)
class Shipping:
    """What the workflows ``review``, ``merge`` and ``deploy`` are given: a merge request."""

    merge_request: int


def register(engine: Engine, context: Callable[[], Context]) -> None:
    """Register the workflows with the engine; ``context`` is called when a workflow runs."""

    def delivered(run: Steps, given: Delivery) -> Outcome:
        return deliver(run, context(), _session(context(), given.issue, given.session))

    engine.register("deliver", Delivery, delivered)
    engine.register("review", Shipping, lambda run, given: ship.review_own(run, context(), given.merge_request))
    engine.register("merge", Shipping, lambda run, given: ship.merge(run, context(), given.merge_request))
    engine.register("deploy", Shipping, lambda run, given: ship.deploy(run, context(), given.merge_request))


def once(
    context: Context,
    engine: Engine,
    held: Slot,
    *,
    issue: int | None = None,
    failures: work_queue.Failures | None = None,
) -> WorkResult | work_queue.Idle:
    """Run the next action, if any. ``issue`` limits the choice to one issue and its merge request.

    An action that fails is added to ``failures``, which are left alone for a while. Raises only ``FactoryError``; an
    exception that nobody expected becomes ``Unexpected``.
    """
    known = failures or work_queue.Failures()
    with unexpected.kept(context.machine.state, "the look for work"):
        context.fetch()
        policies = context.policies()
        questions.propose_all(context, policies)
        newest = scheduled.tend(context, policies)
        candidates, requests = offers.read(context, held, policies, known, issue)
        chosen = work_queue.choose(candidates, requests, known.resting(clock.monotonic()))
        if isinstance(chosen, work_queue.Idle):
            scheduled.compare(context, newest)
            return chosen
    try:
        with unexpected.kept(context.machine.state, str(chosen)):
            done = _run(context, engine, chosen, policies)
    except FactoryError:
        known.add(chosen, clock.monotonic())
        raise
    known.forget(chosen)
    return WorkResult(chosen, done)


def _run(context: Context, engine: Engine, chosen: work_queue.Action, policies: Policies) -> Outcome:
    if chosen.kind == "deliver":
        return _deliver(context, engine, issues.get(context.bot, chosen.number), policies)
    request = merge_requests.get(context.bot, chosen.number)
    try:
        return engine.run(chosen.kind, f"{chosen.number}-{request.sha}", Shipping(chosen.number))
    except (Refused, NotFound, InvalidInput, EvidenceIncomplete) as error:
        _block(context, policies, chosen.number, error)
        raise


def forever(
    context: Context,
    engine: Engine,
    held: Slot,
    *,
    stopped: Callable[[], bool],
    wait: Callable[[float], bool] | None = None,
) -> None:
    """Run one action after another until ``stopped``; a failure is printed once and does not end the loop.

    ``wait`` waits for a number of seconds and returns true if something woke it up earlier.
    """
    printed: tuple[str, ...] = ()
    failures = work_queue.Failures()
    while not stopped():
        # Read first, so that a change during ``once`` is noticed afterwards.
        before = _pulse(context)
        try:
            done = once(context, engine, held, failures=failures)
        except FactoryError as error:
            done = work_queue.Idle((f"{error} ({error.hint})",))
        if isinstance(done, work_queue.Idle):
            if done.waiting != printed:
                context.say("; ".join(done.waiting) or "nothing to do")
                printed = done.waiting
            _rest(context, before, stopped, wait or _sleep)


def _sleep(seconds: float) -> bool:
    clock.sleep(seconds)
    return False


def _pulse(context: Context, before: LastChanges | None = None) -> LastChanges | None:
    """Return the last changes on GitLab, or ``before`` if GitLab does not answer."""
    try:
        with unexpected.kept(context.machine.state, "the look for changes"):
            return change_poll.take(context.bot, before)
    except FactoryError:
        return before


def _rest(
    context: Context, known: LastChanges | None, stopped: Callable[[], bool], wait: Callable[[float], bool]
) -> None:
    """Wait until something changes on GitLab, but not forever: a lease expires without a change on GitLab."""
    until = clock.monotonic() + _FULL_READ
    while not stopped() and clock.monotonic() < until:
        if wait(_LOCAL_PAUSE if context.accounts.simulator else _REMOTE_PAUSE) or _pulse(context, known) != known:
            return


def _deliver(context: Context, engine: Engine, issue: Issue, policies: Policies) -> Outcome:
    held = _acquire(context, issue, policies)
    sessions.sweep(context, policies)
    context.say(f"#{issue.iid} is claimed as session {held.session}")
    return engine.run("deliver", f"{issue.iid}-{held.session}", Delivery(issue.iid, held.session))


def _block(context: Context, policies: Policies, iid: int, error: FactoryError) -> None:
    """Label a merge request that failed as blocked, so that the others go on; a person removes the label.

    GitLab Premium takes away the scoped label that said how far it was, so the note names it.
    """
    labels = policies.session.labels
    label = labels.blocked
    before = {labels.review, labels.shipping, labels.apply_unknown} & set(merge_requests.get(context.bot, iid).labels)
    again = f"set the label `{before.pop()}` again and " if before else ""
    body = f"Blocked: {error}. {error.hint} Then {again}remove the label `{label}`."
    issues.say(context.bot, "merge_requests", iid, marker="blocked", body=body)
    merge_requests.relabel(context.bot, iid, add=[label])


def _acquire(context: Context, issue: Issue, policies: Policies) -> lease.Lease:
    """Push the next lease of the issue; an unreleased lease is taken over with its session. Raises ``Conflict``."""
    found = lease.read(context.mirror, issue.iid)
    expires = clock.iso(clock.now() + timedelta(minutes=policies.session.lease_minutes))
    if found is not None and not found[0].released:
        old, frozen_before = found
        if _begins(context, _session(context, issue.iid, old.session)):
            launch_plan.require(context, routing.first(policies.agents, issue.labels, asked=context.console.agent_name))
        renewed = replace(old, holder=context.machine.holder, expires_at=expires, token=old.token + 1)
        return lease.write(
            context.mirror, renewed, frozen_before, author=context.bot_author, token=context.accounts.bot_token
        )
    # Before the claim: an issue that nobody can work on here stays free for another machine.
    chosen = routing.first(policies.agents, issue.labels, asked=context.console.agent_name)
    launch_plan.require(context, chosen)
    role = accounts.role(context.bot, issue.author)
    frozen = intake.freeze(
        issue, author_role=role, limit=policies.session.issue_characters, small=policies.session.labels.small
    )
    problem = issue_spec.unready(context, frozen)
    if problem:
        _say_unready(context, issue, policies, problem)
        raise InvalidInput(f"#{issue.iid} cannot be worked on: {problem}")
    previous = found[0] if found else None
    fresh = lease.Lease(
        issue=issue.iid,
        session=secrets.token_hex(4),
        holder=context.machine.holder,
        expires_at=expires,
        token=previous.token + 1 if previous else 1,
        commit=previous.commit if previous else "",
    )
    return lease.write(context.mirror, fresh, frozen, author=context.bot_author, token=context.accounts.bot_token)


def _say_unready(context: Context, issue: Issue, policies: Policies, problem: str) -> None:
    labels = policies.session.labels
    body = f"The factory cannot work on this: {problem}. Fix it, then `factory issue retry {issue.iid}`."
    issues.say(context.bot, "issues", issue.iid, marker="unready", body=body)
    issues.relabel(context.bot, issue.iid, add=[labels.blocked], remove=[labels.ready])


def _begins(context: Context, session: Session) -> bool:
    """Tell whether an agent must work next in a session, because nothing of it is proposed or was left here."""
    left = results.read_all(session.folder) or handover.read(session.folder)
    return not left and context.mirror.head(session.branch) is None


def _session(context: Context, issue: int, session: str) -> Session:
    return Session(session, issue, files.private_folder(context.machine.state / "sessions" / session))
