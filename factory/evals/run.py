"""Runs a recorded issue without GitLab: brief, agent, commit and local gates as in ``deliver``, then a check.

The check replaces the pipeline. Nothing is pushed, recorded as evidence or charged to the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from factory.agents import outputs as asked
from factory.agents import token_costs
from factory.errors import InvalidInput, OutputTooLarge, Refused, ToolTimeout
from factory.evals.issues import RecordedIssue
from factory.evals.statistics import Outcome, Result
from factory.gates.run import Decision
from factory.model.agent import Reason, Turn
from factory.model.attempt import AttemptResult, Escalation
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
from factory.workflow.session import attempt, brief, guides, launch_plan, local_gates, results, routing, transcript
from factory.workflow.session.attempts import agent_ref
from factory.workflow.session.next_move import DOWN, FAILED, WORK, Bounds, Done, Graph, Move, failures, next_move
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree

_CHECK_SECONDS = 600.0
_CHECK_LINES = 20
_CHECK_BYTES = 16 * 2**20
_LONGEST_LINE = 300
# Reasons that are not the agent's fault.
_NOT_JUDGED = DOWN | {Reason.SANDBOX_UNAVAILABLE}
# The nodes of a run, as next_move reads them; the check stands in for the pipeline.
EVALUATE: Graph = {
    "work": {
        "finished": "check",
        "question": "failed",
        "blocked": "failed",
        "not judged": "not judged",
        "exhausted": "failed",
    },
    "check": {"passed": "passed", "failed": "work"},
}
_RESULTS: Mapping[str, Result] = {"passed": "passed", "failed": "failed", "not judged": "not judged"}


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
        chosen = routing.choose(policies.agents, (), asked=self.agent, escalation=Escalation.AGAIN, down=(), last=None)
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
    """What the attempts of one run took so far; money is ``None`` without a price."""

    attempts: int = 0
    tokens: int = 0
    usd_micros: int | None = None
    estimated: bool = False
    questions: int = 0
    denials: int = 0


@dataclass
class EvalRun:
    """One run: ``session`` is its folder, ``recorded`` its issue; use ``run`` once."""

    context: Context
    policies: Policies
    session: Session
    recorded: RecordedIssue
    variant: Variant
    _spent: _Totals = field(default_factory=_Totals)
    # Why the run ends, and the newest attempt with the commit that the next one starts from.
    _reason: str = ""
    _base: str = ""
    _last: AttemptResult | None = None

    def run(self, number: int) -> Outcome:
        """Let the agent try until gates and check pass or no attempt is left; ``number`` is the run's number.

        Raises ``InvalidInput`` or ``NotFound`` if the issue names no spec that can be worked on, ``MachineError`` if
        the agent is not installed, ``Unauthorized`` if its model has no credential.
        """
        frozen = self._freeze()
        start = clock.monotonic()
        result = self._attempts(frozen)
        spent = self._spent
        return Outcome(
            issue=self.recorded.name,
            variant=self.variant.name,
            run=number,
            result=result,
            reason=self._reason,
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

    def _attempts(self, frozen: FrozenIssue) -> Result:
        self._base = self.context.main()
        history: list[Done] = []
        bounds = Bounds(self.policies.budgets.attempts)
        while (move := next_move(EVALUATE, history, bounds)).node in EVALUATE:
            history.append(self._work(frozen, move) if move.node == WORK else self._judge(move))
        if move.node == "failed" and not self._reason:
            past = failures(history)
            again = move.attempt < bounds.attempts
            self._reason = "the same failure again and again" if again else past[-1][0][:_LONGEST_LINE]
        return _RESULTS[move.node]

    def _work(self, frozen: FrozenIssue, move: Move) -> Done:
        context, session, policies, number = self.context, self.session, self.policies, move.attempt
        worktree.prepare(context.mirror, session.worktree, commit=self._base)
        chosen = self.variant.chosen(policies)
        again = move.escalation is Escalation.AGAIN and "resume" in chosen.agent.capabilities
        text = brief.render(
            frozen,
            session=session.id,
            attempt=number,
            spec=issue_spec.spec(context, context.main(), frozen),
            policies=policies,
            paths=context.mirror.paths(self._base),
            feedback=move.feedback,
            escalation=move.escalation,
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
            resume=self._last.resume if self._last and again else "",
            tick=lambda: None,
        )
        self._count(number, chosen, ran.turn)
        try:
            head, refused = attempt.commit(context, session, number, frozen, ran.turn), ""
        except Refused as error:
            head, refused = None, str(error)
        self._last = results.write(
            session.attempt(number),
            AttemptResult(
                attempt=number,
                base=self._base,
                head=head,
                reason=Reason.BLOCKED if refused else ran.turn.reason,
                detail=refused or ran.turn.detail,
                agent=agent_ref(chosen, brief.version(self.variant.template)),
                usage=ran.turn.usage,
                message=ran.turn.message,
                resume=ran.turn.resume,
                escalation=move.escalation,
            ),
        )
        requests = asked.read(launch_plan.outputs_file(session.attempt(number))).requests
        return Done(WORK, number, self._outcome(self._last, requests), agent=chosen.name)

    def _count(self, number: int, chosen: AgentChoice, turn: Turn) -> None:
        """Add what an attempt took to the run's totals."""
        spent = self._spent
        spent.attempts = number
        spent.tokens += token_costs.total(turn.usage)
        spent.estimated |= turn.source == "estimate"
        if chosen.agent.prices:
            spent.usd_micros = (spent.usd_micros or 0) + token_costs.cost(turn.usage, launch_plan.rates(chosen.agent))
        spent.denials += sum(bool(event.get("denied")) for event in transcript.events(self.session.attempt(number)))

    def _outcome(self, result: AttemptResult, requests: Sequence[asked.Request]) -> str:
        """Return the outcome of an attempt's work, and keep why if the run ends with it."""
        if result.reason in _NOT_JUDGED:
            self._reason = f"{result.reason}: {result.detail}"
            return "not judged"
        if result.head is not None:
            return "finished"
        question = next((item.text for item in requests if isinstance(item, asked.Question)), None)
        if question := question or questions.asked(result.message):
            self._spent.questions += 1
            self._reason = f"asks: {question}"
            return "question"
        blocked = next((item.why for item in requests if isinstance(item, asked.Blocked)), None)
        if blocked or result.reason is Reason.BLOCKED:
            self._reason = f"blocked: {blocked or result.detail}"
            return "blocked"
        return "finished"

    def _judge(self, move: Move) -> Done:
        """Run the local gates on the attempt's commit, and the check that stands in for the pipeline."""
        result = self._last
        if result is None or result.head is None:
            why = f"({result.reason}): {result.detail}" if result else ""
            return Done("check", move.attempt, FAILED, (f"The attempt changed nothing {why}",))
        decision = local_gates.local_verdict(self.context, self.session, self.policies, result.head)
        if not _holds(decision, self.recorded.gates):
            feedback = findings.brief(decision.verdicts, local_gates.logs(self.session))
            return Done("check", move.attempt, FAILED, tuple(feedback))
        feedback = self._check(self.recorded.check) if self.recorded.check else []
        self._base = result.head
        return Done("check", move.attempt, FAILED if feedback else "passed", tuple(feedback))

    def _check(self, command: tuple[str, ...]) -> list[str]:
        """Run the set's check behind the launch door, as test suites are run; return its output if it fails."""
        folder = self.session.worktree
        scratch = files.private_folder(self.session.folder / "check")
        env = {**self.context.machine.env, "HOME": str(scratch), "TMPDIR": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        prepared = launch.prepare(
            Launch(
                argv=process.ours(command),
                cwd=folder,
                env={**env, "APPS": str(folder / "apps")},
                writable=(scratch,),
                readable=(*self.context.machine.readable, folder),
            )
        )
        try:
            done = process.run(
                prepared.argv,
                cwd=prepared.cwd,
                env=prepared.env,
                timeout=_CHECK_SECONDS,
                most=_CHECK_BYTES,
                check=False,
            )
        except (ToolTimeout, OutputTooLarge) as error:
            return [f"check: {error}"]
        finally:
            launch.put_back(prepared)
        if done.returncode == 0:
            return []
        lines = [findings.plain(line)[:_LONGEST_LINE] for line in (done.text + done.errors).splitlines()]
        return [f"check: exited with {done.returncode}", *(f"  {line}" for line in lines[-_CHECK_LINES:])]


def _holds(decision: Decision, gates: Sequence[str]) -> bool:
    """Return whether the named gates passed; without names, all that policy requires."""
    if not gates:
        return decision.passed
    results = {verdict.gate: verdict.result for verdict in decision.verdicts}
    return all(results.get(name) == "passed" for name in gates)
