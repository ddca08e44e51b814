"""deliver: from a claimed issue to a merge request that is ready for review.

Steps, per attempt: work → check → propose → watch; then present. Each looks first whether it has been done: an attempt
that is on the branch is not worked on again, whatever became of the engine's store.
"""

from collections.abc import Sequence
from typing import Any

from factory.errors import Refused
from factory.gitlab import issues, merge_requests, pipelines
from factory.model.agent import Reason
from factory.model.gitlab import MAIN, Pipeline
from factory.model.session import Session
from factory.reports import findings
from factory.system import clock
from factory.workflow.claim import intake
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.engine import Steps
from factory.workflow.recorder import record, record_plans, record_verdict
from factory.workflow.release import pipeline_watch as watching
from factory.workflow.release import review
from factory.workflow.session import attempt, escalation, handover, outcomes
from factory.workflow.session.attempts import Attempts
from factory.workflow.session.outcomes import Outcomes

STEPS = ("claim", "work", "check", "propose", "watch", "present")


def deliver(run: Steps, context: Context, session: Session) -> dict[str, Any]:
    """Carry one claimed issue to a merge request whose pipeline passed; return where it stands.

    Raises ``AgentFailed`` or ``GateFailed`` when the attempts are used up, ``BudgetExhausted`` when a budget is,
    ``ProviderLimited`` when no agent's model serves, ``AwaitingHuman`` when a person asked, cancelled or took over.
    """
    work = _Delivery(context, session)
    run("claim", work.claim)
    feedback: list[str] = []
    past: list[list[str]] = []
    down: list[str] = []
    trees: list[str] = []
    last: dict[str, Any] = {}
    for number in range(1, work.policies.budgets.attempts + 1):
        rung = work.rung(past, last, trees)
        if rung is escalation.Escalation.PERSON:
            break
        made = run(f"work-{number}", work.work, number, feedback, {"rung": rung, "down": down, "last": last})
        if made.get("handed_back"):
            feedback, last = [], made
            continue
        ending = work.endings.of(made["reason"], agents=work.policies.agents, down=[*down, made["agent"]["name"]])
        if ending is not None:
            return run(ending.name, ending.step, made)
        checked = run(f"check-{number}", work.check, number, made)
        if made["reason"] in outcomes.DOWN:
            down.append(made["agent"]["name"])
            continue
        feedback, last = checked["feedback"], made
        trees.append(made.get("tree", ""))
        if not feedback:
            proposed = run(f"propose-{number}", work.propose, number, made, checked)
            seen = run(f"watch-{number}", work.watch, number, proposed)
            feedback = seen["feedback"]
            if not feedback:
                return run("present", work.present, proposed, seen)
        past.append(feedback)
        if made["reason"] == Reason.BLOCKED:
            break
    return run("give-up", work.endings.give_up, past)


class _Delivery:
    """The steps of one session; each returns a JSON value and may be run again."""

    def __init__(self, context: Context, session: Session) -> None:
        self._context = context
        self._session = session
        self.policies = context.policies()
        self._held_lease = HeldLease(context, session, minutes=self.policies.session.lease_minutes)
        working = Attempts(context, session, self.policies, self._held_lease)
        self.work, self._made = working.work, working.made
        self.endings = Outcomes(context, session, self.policies, self._held_lease)

    def rung(self, past: Sequence[Sequence[str]], last: dict[str, Any], trees: Sequence[str]) -> escalation.Escalation:
        """Return what the next attempt is, from how the earlier ones failed and the states that they ended at."""
        agents = self.policies.agents.agents
        name = last["agent"]["name"] if last else ""
        stronger = bool(name in agents and agents[name].stronger)
        failures = [escalation.fingerprint(item) for item in past]
        return escalation.next_escalation(
            failures, stronger=stronger, circling=escalation.repeats([tree for tree in trees if tree])
        )

    def claim(self) -> dict[str, Any]:
        """Mirror the lease on the issue and record it."""
        context, session = self._context, self._session
        first, frozen = self._held_lease.first(), self._held_lease.frozen()
        labels = self.policies.session.labels
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
        return {"spec": frozen.spec}

    def check(self, number: int, made: dict[str, Any]) -> dict[str, Any]:
        """Run the local gates on the agent's commit; an attempt that can't be proposed gives feedback instead."""
        if made.get("proposed"):
            return {"feedback": [], "gates": []}
        reason = Reason(made["reason"])
        if made["head"] is None:
            self._record_attempt(number, made, ())
            if reason is Reason.DONE_FOR_REVIEW:
                made = {**made, "detail": "the agent changed nothing"}
            return {"feedback": [f"The attempt changed nothing ({reason}): {made['detail']}"], "gates": []}
        start = clock.monotonic()
        decision = attempt.local_verdict(self._context, self._session, self.policies, made["head"])
        self._context.timed("check", clock.monotonic() - start)
        done = [{"gate": verdict.gate, "result": verdict.result} for verdict in decision.verdicts]
        self._context.say("local gates: " + ", ".join(f"{item['gate']} {item['result']}" for item in done))
        self._record_attempt(number, made, done)
        told = [] if decision.passed else findings.brief(decision.verdicts, attempt.logs(self._session))
        return {"feedback": told, "gates": done}

    def propose(self, number: int, made: dict[str, Any], checked: dict[str, Any]) -> dict[str, Any]:
        """Push the commit under the agent's account and open the merge request, once."""
        del checked
        context, session = self._context, self._session
        context.fetch()
        self._held_lease.assert_held()
        frozen = self._held_lease.frozen()
        context.mirror.push(made["head"], session.branch, context.agent_token)
        request = merge_requests.open_once(
            context.agent,
            source=session.branch,
            target=MAIN,
            title=frozen.title,
            description=review.description(frozen, session, claim=made.get("message", "")),
            labels=[],
        )
        context.say(f"attempt {number} is proposed as !{request.iid}")
        return {"merge_request": request.iid, "head": made["head"], "base": made["base"]}

    def watch(self, number: int, proposed: dict[str, Any]) -> dict[str, Any]:
        """Wait for the merge request's pipeline, record its verdict; a failure becomes feedback."""
        context = self._context
        head = proposed["head"]

        def find() -> Pipeline | None:
            found = pipelines.of_merge_request(context.bot, proposed["merge_request"])
            return next((item for item in found if item.sha == head), None)

        limit = self.policies.budgets.pipeline_minutes
        pipeline = watching.until(context, find, minutes=limit, over=self._over)
        tries = 0
        while watching.retried(context, pipeline, before=tries):
            tries += 1
            pipeline = watching.until(context, find, minutes=limit, over=self._over)
        decision = watching.verdict(context, pipeline.id)
        if decision is not None:
            record_verdict(context, proposed, issue=self._session.issue, pipeline=pipeline.id, decision=decision)
        foreign = watching.foreign(context, decision, head) if decision is not None else ""
        if foreign:
            raise Refused(f"!{proposed['merge_request']}: {foreign}")
        passed = pipeline.status == "success" and decision is not None and decision["result"] == "passed"
        logs = self._session.attempt(number)
        feedback = [] if passed else watching.feedback(context, pipeline, folder=logs)
        if not passed and not feedback:
            feedback = [f"The pipeline ended as {pipeline.status} without a verdict."]
        return {"pipeline": pipeline.id, "status": pipeline.status, "feedback": feedback}

    def present(self, proposed: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
        """Show the person what an approval would name, and let the lease go."""
        context, session = self._context, self._session
        labels = self.policies.session.labels
        iid = proposed["merge_request"]
        record_plans(context, iid, issue=session.issue, pipeline=seen["pipeline"])
        review.present(context, iid, session=session, pipeline=seen["pipeline"], made=self._made())
        merge_requests.relabel(context.bot, iid, add=[labels.review])
        issues.relabel(context.bot, session.issue, add=[labels.review], remove=[labels.claimed])
        self._held_lease.release()
        context.say(f"!{iid} is ready for review")
        return {"merge_request": iid, "state": "review"}

    def _over(self, pipeline: Pipeline) -> bool:
        """Tell whether the pipeline is over; asked while it runs, which is also when the lease is renewed."""
        self._held_lease.keep()
        return pipeline.over

    def _record_attempt(self, number: int, made: dict[str, Any], checks: Sequence[dict[str, str]]) -> None:
        if made["agent"]["name"] == handover.PERSON:
            return  # hand-back recorded whose work it is
        attempt.record_attempt(self._context, self._session, number, made=made, checks=checks)
