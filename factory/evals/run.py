"""Runs a recorded issue without GitLab: brief, agent, commit and local gates as in ``deliver``, then a check.

The check replaces the pipeline. Nothing is pushed, recorded as evidence or charged to the ledger.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from factory.agents import metering
from factory.agents import outputs as asked
from factory.errors import InvalidInput, Refused, ToolTimeout
from factory.evals.issues import RecordedIssue
from factory.evals.statistics import Outcome, Result
from factory.gates.run import Decision
from factory.model.agent import Reason
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.policies.agents import Prices
from factory.policies.model import Policies
from factory.reports import findings
from factory.sandbox import launch
from factory.sandbox.launch import Launch
from factory.system import clock, files, process
from factory.workflow.claim import intake, issue_spec, questions
from factory.workflow.context import Context
from factory.workflow.session import attempt, brief, escalation, guides, launch_plan, routing, transcript
from factory.workflow.session.outcomes import DOWN
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree

_CHECK_SECONDS = 600.0
_CHECK_LINES = 20
_LONGEST_LINE = 300
# Reasons that are not the agent's fault.
_NOT_JUDGED = DOWN | {Reason.SANDBOX_UNAVAILABLE}


@dataclass(frozen=True)
class Variant:
    """An agent with optionally another model, another brief template, or a folder of recordings to replay."""

    name: str
    agent: str
    model: str = ""
    template: str | None = None
    recordings: Path | None = None

    def chosen(self, policies: Policies) -> AgentChoice:
        """Return the agent; raises ``InvalidInput`` if it is unknown, or has no model to replace."""
        chosen = routing.choose(
            policies.agents, (), asked=self.agent, rung=escalation.Escalation.AGAIN, down=(), last=None
        )
        agent = chosen.agent
        if self.model:
            if agent.model is None:
                raise InvalidInput(f"the agent {self.agent} has no model, so it cannot have the model {self.model}")
            model = agent.model.model_copy(update={"name": self.model})
            agent = agent.model_copy(update={"model": model, "prices": _prices(policies, self.model)})
        if self.recordings is not None and agent.command[-2:] == ("agent", "replay"):
            agent = agent.model_copy(update={"command": (*agent.command, "--recordings", str(self.recordings))})
        return replace(chosen, agent=agent)


def _prices(policies: Policies, model: str) -> Prices | None:
    """Return a model's prices from any agent in policy, or ``None``."""
    known = (item for item in policies.agents.agents.values() if item.model and item.model.name == model)
    return next((item.prices for item in known if item.prices), None)


@dataclass
class _Totals:
    """The totals of one run's attempts so far; money is ``None`` without prices."""

    attempts: int = 0
    tokens: int = 0
    usd_micros: int | None = None
    estimated: bool = False
    questions: int = 0
    denials: int = 0


@dataclass
class EvalRun:
    """One run of the issue ``recorded`` in ``session``; call ``run`` only once."""

    context: Context
    policies: Policies
    session: Session
    recorded: RecordedIssue
    variant: Variant
    _spent: _Totals = field(default_factory=_Totals)

    def run(self, number: int) -> Outcome:
        """Let the agent try until gates and check pass or its attempts are used up; ``number`` is the run's number.

        Raises ``InvalidInput`` or ``NotFound`` if the issue's spec is missing or not ready, ``MachineError`` if the
        agent is not installed, ``Unauthorized`` if its model has no credential.
        """
        frozen = self._freeze()
        start = clock.monotonic()
        result, reason = self._attempts(frozen)
        spent = self._spent
        return Outcome(
            issue=self.recorded.name,
            variant=self.variant.name,
            run=number,
            result=result,
            reason=reason,
            attempts=spent.attempts,
            tokens=spent.tokens,
            usd_micros=spent.usd_micros,
            seconds=round(clock.monotonic() - start, 1),
            estimated=spent.estimated,
            questions=spent.questions,
            denials=spent.denials,
            left_to_person=int(result == "failed" and not spent.questions),
        )

    def _freeze(self) -> FrozenIssue:
        rules = self.policies.session
        small = rules.labels.small
        issue = self.recorded.issue(self.session.issue, small=small)
        frozen = intake.freeze(issue, author_role="maintainer", limit=rules.issue_characters, small=small)
        if problem := issue_spec.unready(self.context, frozen):
            raise InvalidInput(f"the recorded issue {self.recorded.name}: {problem}")
        return frozen

    def _attempts(self, frozen: FrozenIssue) -> tuple[Result, str]:
        feedback: list[str] = []
        past: list[str] = []
        base, resume = self.context.main(), ""
        for number in range(1, self.policies.budgets.attempts + 1):
            rung = escalation.next_escalation(past, stronger=False)
            if rung is escalation.Escalation.PERSON:
                return "failed", "the same failure repeatedly"
            made = self._work(
                frozen, number, base, feedback, rung, resume if rung is escalation.Escalation.AGAIN else ""
            )
            if made.ended:
                return made.ended
            if made.head is None:
                feedback = [f"The attempt changed nothing ({made.reason}): {made.detail}"]
            else:
                feedback, proposed = self._judge(made.head)
                if not feedback:
                    return "passed", ""
                base = made.head if proposed else base
            past.append(escalation.fingerprint(feedback))
            resume = made.resume
        return "failed", (feedback or ["no attempt"])[0][:_LONGEST_LINE]

    def _work(
        self,
        frozen: FrozenIssue,
        number: int,
        base: str,
        feedback: Sequence[str],
        rung: escalation.Escalation,
        resume: str,
    ) -> "_AttemptEnd":
        context, session, policies = self.context, self.session, self.policies
        worktree.prepare(context.mirror, session.worktree, commit=base)
        chosen = self.variant.chosen(policies)
        text = brief.render(
            frozen,
            session=session.id,
            attempt=number,
            spec=issue_spec.spec(context, context.main(), frozen),
            policies=policies,
            paths=context.mirror.paths(base),
            feedback=feedback,
            rung=rung,
            handed="",
            skills=guides.choose(context.mirror.tree(context.main(), guides.FOLDER), ()),
            refused=(),
            template=self.variant.template,
        )
        ran = attempt.run(
            context,
            session,
            number,
            policies=policies,
            chosen=chosen,
            brief=text,
            amount=launch_plan.requested_amount(chosen.agent),
            resume=resume if "resume" in chosen.agent.capabilities else "",
            tick=lambda: None,
        )
        turn = ran.turn
        spent = self._spent
        spent.attempts = number
        spent.tokens += metering.total(turn.usage)
        spent.estimated |= turn.source == "estimate"
        if chosen.agent.prices:
            spent.usd_micros = (spent.usd_micros or 0) + metering.cost(turn.usage, launch_plan.rates(chosen.agent))
        spent.denials += sum(bool(event.get("denied")) for event in transcript.events(session.attempt(number)))
        try:
            head = attempt.commit(context, session, number, frozen, turn)
        except Refused as refused:
            return _AttemptEnd(None, Reason.BLOCKED, str(refused), "", ("failed", f"blocked: {refused}"))
        requests = asked.read(launch_plan.outputs_file(session.attempt(number))).requests
        end = _AttemptEnd(head, turn.reason, turn.detail, turn.resume)
        result = {"attempt": number, "base": base, "head": head, "reason": turn.reason.value, "usage": dict(turn.usage)}
        self._keep(number, result, chosen)
        return replace(end, ended=self._ended(end, requests, turn.message))

    def _keep(self, number: int, result: Mapping[str, Any], chosen: AgentChoice) -> None:
        """Store an attempt's result as a session does, so that the run can be inspected and recorded."""
        model = chosen.agent.model.name if chosen.agent.model else None
        version = brief.version(self.variant.template)
        by = {"name": chosen.name, "version": chosen.agent.version, "model": model, "brief": version}
        value = {**result, "agent": by, "question": None}
        files.write_atomic(self.session.attempt(number) / "turn.json", json.dumps(value, indent=1).encode())

    def _ended(self, made: "_AttemptEnd", requests: Sequence[asked.Request], message: str) -> tuple[Result, str] | None:
        """Return the result if the run ends with this attempt, or ``None`` to judge its work or try again."""
        if made.reason in _NOT_JUDGED:
            return "not judged", f"{made.reason}: {made.detail}"
        if made.head is not None:
            return None
        question = next((item.text for item in requests if isinstance(item, asked.Question)), None)
        if question := question or questions.asked(message):
            self._spent.questions += 1
            return "failed", f"asks: {question}"
        blocked = next((item.why for item in requests if isinstance(item, asked.Blocked)), None)
        if blocked or made.reason is Reason.BLOCKED:
            return "failed", f"blocked: {blocked or made.detail}"
        return None

    def _judge(self, head: str) -> tuple[list[str], bool]:
        """Return the feedback for the next attempt, and whether this attempt would have been proposed."""
        decision = attempt.local_verdict(self.context, self.session, self.policies, head)
        if not _holds(decision, self.recorded.gates):
            return findings.brief(decision.verdicts, attempt.logs(self.session)), False
        return (self._check(self.recorded.check) if self.recorded.check else []), True

    def _check(self, command: tuple[str, ...]) -> list[str]:
        """Run the set's check behind the launch door, as test suites are run; return its output if it fails."""
        folder = self.session.worktree
        scratch = files.private_folder(self.session.folder / "check")
        env = {**self.context.env, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        prepared = launch.prepare(
            Launch(
                argv=process.ours(command),
                cwd=folder,
                env={**env, "APPS": str(folder / "apps")},
                writable=(scratch,),
                readable=(*self.context.readable, folder),
            )
        )
        try:
            done = process.run(prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=_CHECK_SECONDS, check=False)
        except ToolTimeout as error:
            return [f"check: {error}"]
        finally:
            launch.put_back(prepared)
        if done.returncode == 0:
            return []
        lines = [findings.plain(line)[:_LONGEST_LINE] for line in (done.text + done.errors).splitlines()]
        return [f"check: exited with {done.returncode}", *(f"  {line}" for line in lines[-_CHECK_LINES:])]


@dataclass(frozen=True)
class _AttemptEnd:
    """The result of one attempt; ``ended`` is set if the run ends with it."""

    head: str | None
    reason: Reason
    detail: str
    resume: str
    ended: tuple[Result, str] | None = None


def _holds(decision: Decision, gates: Sequence[str]) -> bool:
    """Return whether the named gates passed; without names, all that policy requires."""
    if not gates:
        return decision.passed
    results = {verdict.gate: verdict.result for verdict in decision.verdicts}
    return all(results.get(name) == "passed" for name in gates)
