"""deliver: from a claimed issue to a merge request that is ready for review.

The table ``DELIVER`` says which node follows which. Each node is one durable step, which first checks whether
it was done before: an attempt that is on the branch is not repeated, even if the engine's store is lost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from factory.errors import Refused
from factory.gitlab import issues, merge_requests, pipelines
from factory.model.agent import Reason
from factory.model.attempt import AttemptResult
from factory.model.gitlab import MAIN, Pipeline
from factory.model.session import Outcome, Session
from factory.workflow.claim import intake
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.durable_steps import Steps
from factory.workflow.recorder import record, record_plans, record_verdict
from factory.workflow.release import pipeline_watch as watching
from factory.workflow.release import review
from factory.workflow.session import attempt, handover, local_gates, results
from factory.workflow.session import next_move as moves
from factory.workflow.session.attempts import Attempts
from factory.workflow.session.local_gates import Checked
from factory.workflow.session.next_move import BLOCKED, DOWN, FAILED, PROVIDER_DOWN, Bounds, Done, Graph, Move
from factory.workflow.session.outcomes import Outcomes

# Node, outcome, next node. A node without a line of its own ends the session.
DELIVER: Graph = {
    "claim": {"claimed": "work"},
    "work": {
        "finished": "check",
        "provider down": "check",
        "handed back": "work",
        "question": "ask",
        "cancelled": "cancel",
        "taken over": "take-over",
        "no provider": "wait",
        "exhausted": "give-up",
    },
    "check": {"passed": "propose", "failed": "work", "blocked": "give-up", "provider down": "work"},
    "propose": {"proposed": "watch"},
    "watch": {"passed": "present", "failed": "work", "blocked": "give-up"},
}


@dataclass(frozen=True)
class Claimed:
    """The spec that the claimed issue names."""

    spec: str


@dataclass(frozen=True)
class Proposal:
    """A merge request's number, and the commits that it goes from and to."""

    merge_request: int
    head: str
    base: str


@dataclass(frozen=True)
class Watched:
    """A pipeline that ended: its number and status, and what must be fixed."""

    pipeline: int
    status: str
    feedback: tuple[str, ...]


def deliver(run: Steps, context: Context, session: Session) -> Outcome:
    """Carry one claimed issue to a merge request whose pipeline passed; return where the issue is.

    Raises ``AgentFailed`` or ``GateFailed`` if no attempt succeeds, ``BudgetExhausted`` if a budget is used up,
    ``ProviderLimited`` if no agent's model serves, ``MachineError`` if the pipeline's machine fails again and again,
    ``AwaitingHuman`` if a person asked, cancelled or took over.
    """
    delivery = _Delivery(run, context, session)
    history: list[Done] = []
    while (move := moves.next_move(DELIVER, history, delivery.bounds)).node in DELIVER:
        history.append(delivery.execute(move))
    return delivery.end(move, history)


class _Delivery:
    """The nodes of one session; each executes one durable step and says what came out."""

    def __init__(self, run: Steps, context: Context, session: Session) -> None:
        self._run = run
        self._context = context
        self._session = session
        self._policies = context.policies()
        self._lease = HeldLease(context, session, minutes=self._policies.session.lease_minutes)
        self._attempts = Attempts(context, session, self._policies, self._lease)
        self._outcomes = Outcomes(context, session, self._policies, self._lease)
        agents = self._policies.agents.agents
        stronger = frozenset(name for name, agent in agents.items() if agent.stronger)
        self.bounds = Bounds(self._policies.budgets.attempts, stronger)
        # What the nodes hand on: the attempt, the last one that worked, its proposal and the pipeline that passed.
        self._result: AttemptResult
        self._worked: AttemptResult | None = None
        self._proposal: Proposal
        self._watched: Watched

    def execute(self, move: Move) -> Done:
        """Execute a node that others follow."""
        nodes: Mapping[str, Callable[[Move], Done]] = {
            "claim": self._claim,
            "work": self._work,
            "check": self._check,
            "propose": self._propose,
            "watch": self._watch,
        }
        return nodes[move.node](move)

    def end(self, move: Move, history: Sequence[Done]) -> Outcome:
        """Execute a node that ends the session."""
        ends: Mapping[str, Callable[[], Outcome]] = {
            "present": self.present,
            "ask": lambda: self._outcomes.ask(self._result),
            "cancel": lambda: self._outcomes.cancel(self._result),
            "take-over": lambda: self._outcomes.take_over(self._result),
            "wait": lambda: self._outcomes.wait(self._result),
            "give-up": lambda: self._outcomes.give_up(moves.failures(history)),
        }
        return self._run(move.node, Outcome, ends[move.node])

    def _claim(self, move: Move) -> Done:
        self._run(move.node, Claimed, self.claim)
        return Done(move.node, move.attempt, "claimed")

    def _work(self, move: Move) -> Done:
        number, worked = move.attempt, self._worked
        result = self._run(f"work-{number}", AttemptResult, lambda: self._attempts.work(move, worked))
        outcome = moves.outcome(result, agents=self._policies.agents, unserved=move.down)
        self._result = result
        if outcome != PROVIDER_DOWN:
            self._worked = result
        return Done("work", number, outcome, agent=result.agent.name, tree=result.tree)

    def _check(self, move: Move) -> Done:
        number, result = move.attempt, self._result
        checked = self._run(f"check-{number}", Checked, lambda: self.check(result))
        if result.reason in DOWN:
            return Done("check", number, PROVIDER_DOWN)
        return Done("check", number, self._judged(checked.feedback), checked.feedback)

    def _propose(self, move: Move) -> Done:
        number, result = move.attempt, self._result
        self._proposal = self._run(f"propose-{number}", Proposal, lambda: self.propose(result))
        return Done("propose", number, "proposed")

    def _watch(self, move: Move) -> Done:
        number, proposal = move.attempt, self._proposal
        self._watched = self._run(f"watch-{number}", Watched, lambda: self.watch(proposal))
        return Done("watch", number, self._judged(self._watched.feedback), self._watched.feedback)

    def _judged(self, feedback: Sequence[str]) -> str:
        if not feedback:
            return "passed"
        return BLOCKED if self._result.reason is Reason.BLOCKED else FAILED

    def claim(self) -> Claimed:
        """Mirror the lease on the issue and record it."""
        context, session = self._context, self._session
        first, frozen = self._lease.first(), self._lease.frozen()
        labels = self._policies.session.labels
        issues.relabel(context.bot, session.issue, add=[labels.claimed], remove=[labels.ready, labels.blocked])
        record(
            context,
            "claim",
            issue=session.issue,
            subjects={f"issue/{session.issue}": intake.digest(frozen)},
            predicate={
                "key": f"claim/{session.issue}/{session.id}",
                "session": session.id,
                "branch": session.branch,
                "lease": {"branch": first.branch, "commit": first.commit, "token": 1},
                "author": frozen.author,
                "author_role": frozen.author_role,
            },
        )
        return Claimed(frozen.spec)

    def check(self, result: AttemptResult) -> Checked:
        """Run the local gates on the agent's commit; an attempt that can't be proposed gives feedback instead."""
        if result.proposed:
            return Checked((), ())
        if result.head is None:
            self._record(result, ())
            detail = "the agent changed nothing" if result.reason is Reason.DONE_FOR_REVIEW else result.detail
            return Checked((f"The attempt changed nothing ({result.reason}): {detail}",), ())
        checked = local_gates.check(
            self._context, self._session, self._policies, number=result.attempt, head=result.head
        )
        self._record(result, checked.gates)
        return checked

    def propose(self, result: AttemptResult) -> Proposal:
        """Push the commit under the agent's account and open the merge request, once."""
        context, session, head = self._context, self._session, result.head
        if head is None:
            raise Refused(f"attempt {result.attempt} of session {session.id} has no commit to propose")
        context.fetch()
        self._lease.assert_held()
        frozen = self._lease.frozen()
        context.mirror.push_once(head, session.branch, context.accounts.agent_token)
        request = merge_requests.open_once(
            context.agent,
            source=session.branch,
            target=MAIN,
            title=frozen.title,
            description=review.description(frozen, session, claim=result.message),
            labels=[],
        )
        context.say(f"attempt {result.attempt} is proposed as !{request.iid}")
        return Proposal(request.iid, head, result.base)

    def watch(self, proposal: Proposal) -> Watched:
        """Wait for the merge request's pipeline and record its verdict; a failure becomes feedback.

        Raises ``MachineError`` if jobs fail again and again because of the runner or GitLab: no attempt can fix that.
        """
        context = self._context

        def find() -> Pipeline | None:
            found = pipelines.of_merge_request(context.bot, proposal.merge_request)
            return next((item for item in found if item.sha == proposal.head), None)

        limit = self._policies.budgets.pipeline_minutes
        pipeline = watching.until(context, find, minutes=limit, over=self._over)
        tries = 0
        while watching.retried(context, pipeline, before=tries):
            tries += 1
            pipeline = watching.until(context, find, minutes=limit, over=self._over)
        watching.require_machine(context, pipeline)
        decision = watching.verdict(context.bot, pipeline.id)
        if decision is not None:
            record_verdict(
                context,
                issue=self._session.issue,
                merge_request=proposal.merge_request,
                head=proposal.head,
                pipeline=pipeline.id,
                decision=decision,
            )
        foreign = watching.foreign(context, decision, proposal.head) if decision is not None else ""
        if foreign:
            raise Refused(f"!{proposal.merge_request}: {foreign}")
        passed = pipeline.status == "success" and decision is not None and decision.result == "passed"
        # Where the next attempt's agent may read: its brief names these logs.
        logs = local_gates.checks_folder(self._session) / "pipeline"
        feedback = [] if passed else watching.feedback(context, pipeline, folder=logs)
        if not passed and not feedback:
            feedback = [f"The pipeline ended as {pipeline.status} without a verdict."]
        return Watched(pipeline.id, pipeline.status, tuple(feedback))

    def present(self) -> Outcome:
        """Show the person what an approval would name, and release the lease."""
        context, session = self._context, self._session
        labels = self._policies.session.labels
        iid, pipeline = self._proposal.merge_request, self._watched.pipeline
        record_plans(context, iid, issue=session.issue, pipeline=pipeline)
        review.present(
            context,
            iid,
            issue=session.issue,
            spec=self._lease.frozen().spec,
            pipeline=pipeline,
            attempts=results.read_all(session.folder),
        )
        merge_requests.relabel(context.bot, iid, add=[labels.review])
        issues.relabel(context.bot, session.issue, add=[labels.review], remove=[labels.claimed])
        self._lease.release()
        context.say(f"!{iid} is ready for review")
        return Outcome("review", issue=session.issue, merge_request=iid, pipeline=pipeline)

    def _over(self, pipeline: Pipeline) -> bool:
        """Tell whether the pipeline is over; each look also renews the lease."""
        self._lease.keep()
        return pipeline.over

    def _record(self, result: AttemptResult, checks: Sequence[Mapping[str, str]]) -> None:
        if result.agent.name != handover.PERSON:  # handing back has recorded a person's work
            attempt.record_attempt(self._context, self._session, result, checks=checks)
