"""How a session ends without a proposal: a question, a person who steps in, no provider, attempts that are used up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from factory.errors import AgentFailed, AwaitingHuman, GateFailed, ProviderLimited
from factory.gitlab import issues
from factory.model.agent import Reason
from factory.model.session import Session
from factory.policies.agents import Agents
from factory.policies.model import Policies
from factory.reports.markdown import neutral
from factory.workflow.claim import issue_spec, questions
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.release.pipeline_watch import repeated
from factory.workflow.session import attempt, output_requests, routing

DOWN = frozenset({Reason.PROVIDER_LIMITED, Reason.AUTH_FAILED})
_TAKEOVER_HOURS = 24
Made = dict[str, Any]


@dataclass(frozen=True)
class FinalStep:
    """A last step, and its name."""

    name: str
    step: Callable[[Made], Made]


class Outcomes:
    """The last steps of one session; each raises what the caller must know."""

    def __init__(self, context: Context, session: Session, policies: Policies, held_lease: HeldLease) -> None:
        self._context = context
        self._session = session
        self.policies = policies
        self._held_lease = held_lease

    def of(self, reason: str, *, agents: Agents, down: Sequence[str]) -> FinalStep | None:
        """Return the step that ends the session for a reason, or ``None`` where it goes on."""
        steps: dict[str, FinalStep] = {
            Reason.NEEDS_INPUT: FinalStep("ask", self.ask),
            Reason.CANCELLED_BY_HUMAN: FinalStep("cancel", self.cancel),
            Reason.SUPERSEDED: FinalStep("take-over", self.take_over),
        }
        if reason in DOWN and routing.substitute(agents, down) is None:
            return FinalStep("wait", self.wait)
        return steps.get(reason)

    def ask(self, made: dict[str, Any]) -> dict[str, Any]:
        """Put the agent's question on the issue, and let the issue go until it is answered."""
        context, session = self._context, self._session
        attempt.record_attempt(context, session, made["attempt"], made=made, checks=())
        questions.ask(context, self._held_lease.frozen(), made["question"], session=session.id, policies=self.policies)
        self._held_lease.release()
        raise AwaitingHuman(
            f"#{session.issue}: the agent asks: {made['question']}",
            hint="Answer with a note on the issue that begins with `Answer:`.",
        )

    def cancel(self, made: Made) -> Made:
        """Set the issue aside because a person cancelled the session; what the agent did stays in its worktree."""
        context, session = self._context, self._session
        attempt.record_attempt(context, session, made["attempt"], made=made, checks=())
        labels = self.policies.session.labels
        body = f"Session {session.id} ended: {made['detail']}. Put the label `{labels.ready}` back to offer it again."
        issues.say(context.bot, "issues", session.issue, marker=f"cancelled {session.id}", body=body)
        issues.relabel(context.bot, session.issue, add=[labels.blocked], remove=[labels.claimed, labels.ready])
        self._held_lease.release()
        raise AwaitingHuman(f"#{session.issue}: {made['detail']}", hint=f"Offer it again by the label {labels.ready}.")

    def take_over(self, made: Made) -> Made:
        """Leave the session to the person who took it over; the lease stays theirs for a day."""
        session = self._session
        attempt.record_attempt(self._context, session, made["attempt"], made=made, checks=())
        self._held_lease.give_to_person(hours=_TAKEOVER_HOURS)
        raise AwaitingHuman(
            f"#{session.issue}: {made['detail']}; the worktree is {session.worktree}",
            hint=f"Edit there, then `factory session hand-back {session.id}` (with --done to propose it as it is).",
        )

    def wait(self, made: Made) -> Made:
        """Offer the issue again once the provider may serve, since no other agent can stand in."""
        context, session = self._context, self._session
        attempt.record_attempt(context, session, made["attempt"], made=made, checks=())
        labels = self.policies.session.labels
        auth = made["reason"] == Reason.AUTH_FAILED
        until = "" if auth else made["reset_at"]
        then = (
            f"It is offered again after {until}."
            if until
            else "A person must mend that (runbooks/agent-credentials.md)."
        )
        body = f"Session {session.id} waits: {neutral(made['detail'], 200)} (agent {made['agent']['name']}). {then}"
        issues.say(context.bot, "issues", session.issue, marker=f"waits {session.id}", body=body)
        state = labels.blocked if auth else labels.ready
        issues.relabel(context.bot, session.issue, add=[state], remove=[labels.claimed])
        self._held_lease.release(not_before=until)
        kind = AgentFailed if auth else ProviderLimited
        raise kind(f"#{session.issue}: {made['detail']}")

    def give_up(self, past: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Say on the issue why the session ended without a proposal that passes."""
        context, session = self._context, self._session
        labels = self.policies.session.labels
        feedback = past[-1] if past else ["no reason"]
        told = "\n".join(f"    {line}" for item in feedback for line in item.splitlines())
        body = f"The attempts are used up; a person must look.\n\n{told}"
        spec = issue_spec.spec(context, context.main(), self._held_lease.frozen())
        if again := repeated(past):
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
        raise kind(f"#{session.issue}: all attempts are used up: {feedback[0]}")


def with_wishes(made: Made, outcome: output_requests.AppliedRequests | None) -> Made:
    """Return what an attempt came to with what its agent asked for: a question, that it is blocked, or done. Pure."""
    asked = outcome.question if outcome else None
    question = (asked or questions.asked(made["message"])) if made["head"] is None else None
    reason, detail = made["reason"], made["detail"]
    if question:
        reason = Reason.NEEDS_INPUT.value
    elif outcome and outcome.blocked and made["head"] is None and reason == Reason.DONE_FOR_REVIEW:
        reason, detail = Reason.BLOCKED.value, outcome.blocked
    message = made["message"] + (f"\n{outcome.done}" if outcome and outcome.done else "")
    kept = ("id", "kind", "result", "before", "after")
    records = [{name: item[name] for name in kept} for item in outcome.records] if outcome else []
    refused = [f"{item['kind']}: {item['reason']}" for item in outcome.records if item["reason"]] if outcome else []
    asked_for = {"question": question, "outputs": records, "refused": refused}
    return {**made, "reason": reason, "detail": detail, "message": message, **asked_for}


def on_branch(commit: str) -> Made:
    """Return what is known of an attempt whose commit is on the session's branch already."""
    return {
        "proposed": True,
        "head": commit,
        "base": f"{commit}^",
        "message": "",
        "reason": Reason.DONE_FOR_REVIEW.value,
        "agent": {"name": ""},
        "resume": "",
        "rung": "again",
    }
