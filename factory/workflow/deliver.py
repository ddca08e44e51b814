"""deliver: from a claimed issue to a merge request that is ready for review.

Steps, per attempt: work → check → propose → watch; then present. Each looks first whether it has been done: an attempt
that is on the branch is not worked on again, whatever became of the engine's store.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from factory.errors import AgentFailed, AwaitingHuman, GateFailed, Refused
from factory.gitlab import issues, merge_requests, pipelines
from factory.model.agent import Reason
from factory.model.gitlab import Pipeline
from factory.model.session import Session
from factory.reports import findings
from factory.reports.markdown import neutral
from factory.specs import read as specs
from factory.system import clock, files
from factory.workflow import attempt, brief, intake, questions, review, wanted, watch
from factory.workflow.context import MAIN, Context
from factory.workflow.engine import Steps
from factory.workflow.holding import Holding
from factory.workflow.record import record, record_plan, record_verdict
from factory.worktrees import worktree

STEPS = ("claim", "work", "check", "propose", "watch", "present")


def deliver(run: Steps, context: Context, session: Session) -> dict[str, Any]:
    """Carry one claimed issue to a merge request whose pipeline passed; return where it stands.

    Raises ``AgentFailed`` or ``GateFailed`` when the attempts are used up.
    """
    work = _Delivery(context, session)
    run("claim", work.claim)
    budget = work.policies.budgets
    feedback: list[str] = []
    past: list[list[str]] = []
    for number in range(1, budget.attempts + 1):
        made = run(f"work-{number}", work.work, number, feedback)
        if made.get("reason") == Reason.NEEDS_INPUT:
            return run("ask", work.ask, made)
        checked = run(f"check-{number}", work.check, number, made)
        feedback = checked["feedback"]
        if not feedback:
            proposed = run(f"propose-{number}", work.propose, number, made, checked)
            seen = run(f"watch-{number}", work.watch, number, proposed)
            feedback = seen["feedback"]
            if not feedback:
                return run("present", work.present, proposed, seen)
        past.append(feedback)
        if made.get("reason") == Reason.BLOCKED:
            break
        if work.tokens() > budget.caps.run.tokens:
            past.append([f"The budget of {budget.caps.run.tokens} tokens is used up ({Reason.BUDGET_EXHAUSTED})."])
            break
    return run("give-up", work.give_up, past)


class _Delivery:
    """The steps of one session; each returns a JSON value and may be run again."""

    def __init__(self, context: Context, session: Session) -> None:
        self._context = context
        self._session = session
        self.policies = context.policies()
        self._holding = Holding(context, session, minutes=self.policies.workflow.lease_minutes)

    def claim(self) -> dict[str, Any]:
        """Mirror the lease on the issue and record it."""
        context, session = self._context, self._session
        first, frozen = self._holding.first(), self._holding.frozen()
        labels = self.policies.workflow.labels
        issues.relabel(context.bot, session.issue, add=[labels.claimed], remove=[labels.ready, labels.blocked])
        record(
            context,
            "claim",
            issue=session.issue,
            subjects={f"issue/{session.issue}": frozen.digest()},
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

    def work(self, number: int, feedback: Sequence[str]) -> dict[str, Any]:
        """Let the agent work in a worktree at the last proposal, and commit what it changed."""
        context, session = self._context, self._session
        done = self._proposed(number) or self._kept(number)
        if done is not None:
            return done
        base = context.mirror.head(session.branch) or context.main()
        worktree.prepare(context.mirror, session.worktree, commit=base)
        frozen = self._holding.frozen()
        spec = self._spec(frozen)
        text = brief.render(
            frozen,
            session=session.id,
            attempt=number,
            spec=spec,
            policies=self.policies,
            paths=context.mirror.paths(base),
            feedback=feedback,
        )
        start = clock.monotonic()
        turn, level = attempt.run(context, session, number, policies=self.policies, brief=text, tick=self._holding.keep)
        context.timed("agent", clock.monotonic() - start)
        seconds = round(clock.monotonic() - start, 3)
        try:
            head = attempt.commit(context, session, number, frozen, turn)
        except Refused as refused:
            head, turn = None, replace(turn, reason=Reason.BLOCKED, detail=str(refused))
        question = questions.asked(turn.message) if head is None else None
        made = {
            "base": base,
            "head": head,
            "reason": Reason.NEEDS_INPUT.value if question else turn.reason.value,
            "question": question,
            "seconds": seconds,
            "detail": turn.detail,
            "usage": dict(turn.usage),
            "level": level,
            "message": turn.message,
        }
        files.write_atomic(session.attempt(number) / "turn.json", json.dumps(made, indent=1).encode())
        return made

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
        self._holding.assert_held()
        frozen = self._holding.frozen()
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
        pipeline = watch.until(context, find, minutes=limit, over=self._over)
        decision = watch.verdict(context, pipeline.id)
        if decision is not None:
            record_verdict(context, proposed, issue=self._session.issue, pipeline=pipeline.id, decision=decision)
        foreign = watch.foreign(context, decision, head) if decision is not None else ""
        if foreign:
            raise Refused(f"!{proposed['merge_request']}: {foreign}")
        passed = pipeline.status == "success" and decision is not None and decision["result"] == "passed"
        logs = self._session.attempt(number)
        feedback = [] if passed else watch.feedback(context, pipeline, folder=logs)
        if not passed and not feedback:
            feedback = [f"The pipeline ended as {pipeline.status} without a verdict."]
        return {"pipeline": pipeline.id, "status": pipeline.status, "feedback": feedback}

    def present(self, proposed: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
        """Show the person what an approval would name, and let the lease go."""
        context, session = self._context, self._session
        labels = self.policies.workflow.labels
        iid = proposed["merge_request"]
        record_plan(context, iid, issue=session.issue, pipeline=seen["pipeline"])
        review.present(context, iid, session=session, pipeline=seen["pipeline"], made=self._made())
        merge_requests.relabel(context.bot, iid, add=[labels.review])
        issues.relabel(context.bot, session.issue, add=[labels.review], remove=[labels.claimed])
        self._holding.release()
        context.say(f"!{iid} is ready for review")
        return {"merge_request": iid, "state": "review"}

    def ask(self, made: dict[str, Any]) -> dict[str, Any]:
        """Put the agent's question on the issue, and let the issue go until it is answered."""
        context, session = self._context, self._session
        questions.ask(context, self._holding.frozen(), made["question"], session=session.id, policies=self.policies)
        self._holding.release()
        raise AwaitingHuman(
            f"#{session.issue}: the agent asks: {made['question']}",
            hint="Answer with a note on the issue that begins with `Answer:`.",
        )

    def give_up(self, past: Sequence[Sequence[str]]) -> dict[str, Any]:
        """Say on the issue why the session ended without a proposal that passes."""
        context, session = self._context, self._session
        labels = self.policies.workflow.labels
        feedback = past[-1] if past else ["no reason"]
        told = "\n".join(f"    {line}" for item in feedback for line in item.splitlines())
        body = f"The attempts are used up; a person must look.\n\n{told}"
        spec = self._spec(self._holding.frozen())
        if again := watch.repeated(past):
            cited = sorted(item.id for item in spec.requirements if item.id in "\n".join(feedback))
            about = f" ({', '.join(cited)})" if cited else ""
            body += (
                f"\n\nThe same finding came back: {neutral(again, 200)}. That is a sign that the spec "
                f"`{spec.id}`{about} leaves it open: sharpen it before the next try, rather than trying again."
            )
        issues.say(context.bot, "issues", session.issue, marker=f"blocked {session.id}", body=body)
        issues.relabel(context.bot, session.issue, add=[labels.blocked], remove=[labels.claimed, labels.ready])
        self._holding.release()
        kind: Callable[[str], Exception] = (
            AgentFailed if feedback[0].startswith("The attempt changed nothing") else GateFailed
        )
        raise kind(f"#{session.issue}: all attempts are used up: {feedback[0]}")

    def tokens(self) -> int:
        """Return what the session's attempts used so far, as far as their agents tell."""
        return sum(int(item.get("usage", {}).get("total_tokens", 0)) for item in self._made())

    def _over(self, pipeline: Pipeline) -> bool:
        """Tell whether the pipeline is over; asked while it runs, which is also when the lease is renewed."""
        self._holding.keep()
        return pipeline.over

    def _proposed(self, number: int) -> dict[str, Any] | None:
        """Return what the branch shows of an attempt that was pushed already."""
        context, session = self._context, self._session
        branch = context.mirror.head(session.branch)
        if branch is None:
            return None
        mark = f"Factory-Attempt: {number}"
        for commit, text in context.mirror.messages(f"{context.main()}..{branch}"):
            if mark in text.splitlines() and f"Factory-Session: {session.id}" in text.splitlines():
                return {"proposed": True, "head": commit, "base": f"{commit}^", "message": ""}
        return None

    def _kept(self, number: int) -> dict[str, Any] | None:
        """Return what the attempt came to if it ended before and its commit is still here."""
        path = self._session.attempt(number) / "turn.json"
        if not path.exists():
            return None
        made: dict[str, Any] = json.loads(files.read_text(path))
        there = made["head"] is None or self._context.mirror.resolve(made["head"]) is not None
        return made if there else None

    def _made(self) -> list[dict[str, Any]]:
        """Return what each attempt came to, as far as this machine knows."""
        found = sorted(self._session.folder.glob("attempt-*/turn.json"))
        return [json.loads(files.read_text(path)) for path in found]

    def _spec(self, frozen: intake.Frozen) -> specs.Spec:
        return wanted.spec(self._context, self._context.main(), frozen)

    def _record_attempt(self, number: int, made: dict[str, Any], checks: Sequence[dict[str, str]]) -> None:
        attempt.record_attempt(self._context, self._session, number, policies=self.policies, made=made, checks=checks)
