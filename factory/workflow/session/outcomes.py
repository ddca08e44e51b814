"""How a session ends without a proposal: a question, a person who steps in, no provider, or no attempt left."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from factory.errors import AgentFailed, AwaitingHuman, GateFailed, ProviderLimited
from factory.gitlab import issues
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult, RequestRecord
from factory.model.session import Session
from factory.policies.model import Policies
from factory.reports.markdown import neutral
from factory.workflow.claim import issue_spec, questions
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.release.pipeline_watch import repeated
from factory.workflow.session import attempt, output_requests

_TAKEOVER_HOURS = 24


class Outcomes:
    """The last steps of one session; each tells the issue, releases or keeps the lease, and raises the outcome."""

    def __init__(self, context: Context, session: Session, policies: Policies, held_lease: HeldLease) -> None:
        self._context = context
        self._session = session
        self._policies = policies
        self._held_lease = held_lease

    def ask(self, result: AttemptResult) -> NoReturn:
        """Put the agent's question on the issue, and release the issue until a person answers."""
        context, session, question = self._context, self._session, result.question or ""
        attempt.record_attempt(context, session, result, checks=())
        questions.ask(context, self._held_lease.frozen(), question, session=session.id, policies=self._policies)
        self._held_lease.release()
        raise AwaitingHuman(
            f"#{session.issue}: the agent asks: {question}",
            hint="Answer with a note on the issue that begins with `Answer:`.",
        )

    def cancel(self, result: AttemptResult) -> NoReturn:
        """Block the issue because a person cancelled the session; the agent's work stays in its worktree."""
        context, session = self._context, self._session
        attempt.record_attempt(context, session, result, checks=())
        labels = self._policies.session.labels
        body = f"Session {session.id} ended: {result.detail}. `factory issue retry {session.issue}` offers it again."
        issues.say(context.bot, "issues", session.issue, marker=f"cancelled {session.id}", body=body)
        issues.relabel(context.bot, session.issue, add=[labels.blocked], remove=[labels.claimed, labels.ready])
        self._held_lease.release()
        raise AwaitingHuman(
            f"#{session.issue}: {result.detail}", hint=f"Offer it again with `factory issue retry {session.issue}`."
        )

    def take_over(self, result: AttemptResult) -> NoReturn:
        """Leave the session to the person who took it over; the lease is theirs for a day."""
        session = self._session
        attempt.record_attempt(self._context, session, result, checks=())
        self._held_lease.give_to_person(hours=_TAKEOVER_HOURS)
        raise AwaitingHuman(
            f"#{session.issue}: {result.detail}; the worktree is {session.worktree}",
            hint=f"Edit there, then `factory session hand-back {session.id}` (with --done to propose it as it is).",
        )

    def wait(self, result: AttemptResult) -> NoReturn:
        """Offer the issue again once the provider may serve, because no other agent can take over."""
        context, session = self._context, self._session
        attempt.record_attempt(context, session, result, checks=())
        labels = self._policies.session.labels
        auth = result.reason is Reason.AUTH_FAILED
        until = "" if auth else result.reset_at
        then = (
            f"It is offered again after {until}."
            if until
            else "A person must fix the credential (runbooks/agent-credentials.md), then run "
            f"`factory issue retry {session.issue}`."
        )
        body = f"Session {session.id} waits: {neutral(result.detail, 200)} (agent {result.agent.name}). {then}"
        issues.say(context.bot, "issues", session.issue, marker=f"waits {session.id}", body=body)
        state = labels.blocked if auth else labels.ready
        issues.relabel(context.bot, session.issue, add=[state], remove=[labels.claimed])
        self._held_lease.release(not_before=until)
        kind = AgentFailed if auth else ProviderLimited
        raise kind(f"#{session.issue}: {result.detail}")

    def give_up(self, failures: Sequence[Sequence[str]]) -> NoReturn:
        """Say on the issue why the session ended without a proposal that passes; ``failures`` are per attempt."""
        context, session = self._context, self._session
        labels = self._policies.session.labels
        feedback = failures[-1] if failures else ["no reason"]
        lines = "\n".join(f"    {line}" for item in feedback for line in item.splitlines())
        count = f"{len(failures)} of {self._policies.budgets.attempts} attempts failed"
        body = (
            f"{count}; a person must decide what happens next: `factory issue retry {session.issue}` offers the issue "
            f"again.\n\n{lines}"
        )
        spec = issue_spec.spec(context, context.main(), self._held_lease.frozen())
        if again := repeated(failures):
            cited = sorted(item.id for item in spec.requirements if item.id in "\n".join(feedback))
            about = f" ({', '.join(cited)})" if cited else ""
            body += (
                f"\n\nThe same finding came back: {neutral(again, 200)}. That is a sign that the spec "
                f"`{spec.id}`{about} leaves it open: sharpen it before the next try, rather than trying again."
            )
        issues.say(context.bot, "issues", session.issue, marker=f"blocked {session.id}", body=body)
        issues.relabel(context.bot, session.issue, add=[labels.blocked], remove=[labels.claimed, labels.ready])
        self._held_lease.release()
        kind: Callable[[str], Exception] = (
            AgentFailed if feedback[0].startswith("The attempt changed nothing") else GateFailed
        )
        raise kind(f"#{session.issue}: {count}: {feedback[0]}")


def with_requests(result: AttemptResult, applied: output_requests.AppliedRequests | None) -> AttemptResult:
    """Return a result with what the agent asked for: a question, that it is blocked, or why it is done. Pure."""
    asked = applied.question if applied else None
    question = (asked or questions.asked(result.message)) if result.head is None else None
    reason, detail = result.reason, result.detail
    if question:
        reason = Reason.NEEDS_INPUT
    elif applied and applied.blocked and result.head is None and reason is Reason.DONE_FOR_REVIEW:
        reason, detail = Reason.BLOCKED, applied.blocked
    if applied is None:
        return replace(result, reason=reason, question=question)
    return replace(
        result,
        reason=reason,
        detail=detail,
        message=result.message + (f"\n{applied.done}" if applied.done else ""),
        question=question,
        outputs=tuple(
            RequestRecord(item.id, item.kind, item.result, item.before, item.after) for item in applied.records
        ),
        refused=tuple(f"{item.kind}: {item.reason}" for item in applied.records if item.reason),
    )


def on_branch(number: int, commit: str) -> AttemptResult:
    """Return what the session's branch shows of an attempt: its commit, but neither agent nor usage."""
    return AttemptResult(
        attempt=number,
        base=f"{commit}^",
        head=commit,
        reason=Reason.DONE_FOR_REVIEW,
        detail="",
        agent=AgentRef(""),
        proposed=True,
    )
