"""The step in which an agent works: what it is given, how it is watched, and the result."""

from collections.abc import Sequence
from dataclasses import replace

from factory.agents import outputs as asked
from factory.agents import token_costs
from factory.errors import FactoryError, Refused
from factory.gitlab import issues
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult, Cost, Escalation
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.policies.agents import Agent
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow.budget import plan_use
from factory.workflow.budget.budget import Amount
from factory.workflow.claim import issue_spec
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.session import (
    attempt,
    brief,
    guides,
    handover,
    launch_plan,
    outcomes,
    output_requests,
    results,
    routing,
    transcript,
)
from factory.workflow.session.next_move import Move
from factory.workflow.session.spending import Spending
from factory.workflow.session.supervisor import Supervisor
from factory.worktrees import worktree

# How often an agent that is killed works again in the same attempt. One that uses up the machine's memory ends, too.
_MOST_KILLS = 3


class Attempts:
    """One session's attempts; each result is kept in its folder and returned again if the step runs again."""

    def __init__(self, context: Context, session: Session, policies: Policies, held_lease: HeldLease) -> None:
        self._context = context
        self._session = session
        self._policies = policies
        self._held_lease = held_lease
        self._spending = Spending(context, session, policies)

    def work(self, move: Move, last: AttemptResult | None) -> AttemptResult:
        """Let an agent work in a worktree at the last proposal, and commit what it changed.

        ``last`` is the result of the last attempt that worked.
        """
        session, number = self._session, move.attempt
        folder, handed = session.attempt(number), handover.read(session.folder)
        done = self._proposed(number) or self._kept(number)
        if done is not None:
            over = handed is not None and handed.after == number
            return replace(done, handed_back=True) if over else done
        if handed is not None and handed.attempt == number:
            return results.write(folder, handover.result(handed))
        while (result := self._work_once(move, last, handed)) is None:
            pass
        return results.write(folder, result)

    def _work_once(
        self, move: Move, last: AttemptResult | None, handed: handover.Handover | None
    ) -> AttemptResult | None:
        """Return the result of an attempt, or ``None`` if the agent was killed and works again."""
        context, session, number = self._context, self._session, move.attempt
        labels = issues.get(context.bot, session.issue).labels
        chosen = self._choose(move, labels, last)
        # Before anything is written: a stronger agent, or one in place of another, may lack its credential here.
        launch_plan.require(context, chosen)
        base = (handed.head if handed else None) or context.mirror.head(session.branch) or context.main()
        worktree.prepare(context.mirror, session.worktree, commit=base)
        lost, kills = self._set_lost_aside(number, chosen), self._lost_runs(number)
        amount = self._spending.reserve(number, chosen)
        frozen = self._held_lease.frozen()
        text = self._brief(frozen, move, base, labels, last, handed, interrupted=bool(lost))
        start = clock.monotonic()
        try:
            ran = self._run(number, chosen, text, amount, lost or self._resume(chosen, move, last))
            if ran.turn.reason is Reason.KILLED and kills < _MOST_KILLS:
                context.say(f"attempt {number}: {chosen.name} was killed ({ran.turn.detail}); it works again")
                return None
            if ran.renewed and not kills:
                context.say(f"attempt {number}: {chosen.name} works again, with the renewed login")
                return None
            head, reason, detail = self._commit(number, frozen, ran)
            if reason is not Reason.DONE_FOR_REVIEW:
                context.say(f"attempt {number} ended: {reason.value}: {detail}")
        except FactoryError:
            self._spending.settle(number, chosen, self._lost(number, chosen), source="estimate")
            raise
        finally:
            context.console.timed("agent", clock.monotonic() - start)
        turn = ran.turn
        plan_use.keep(context.machine.state, chosen.name, ran.windows)
        cost = token_costs.cost(turn.usage, launch_plan.rates(chosen.agent))
        self._spending.settle(number, chosen, Amount(token_costs.total(turn.usage), cost), source=turn.source)
        result = AttemptResult(
            attempt=number,
            base=base,
            head=head,
            tree=context.mirror.tree_of(head) if head else "",
            reason=reason,
            detail=detail,
            agent=agent_ref(chosen, brief.version()),
            seconds=round(clock.monotonic() - start - ran.waited, 3),
            usage=turn.usage,
            cost=_cost(chosen.agent, cost, turn.source),
            windows=ran.windows,
            level=ran.level,
            limits=ran.limits,
            message=turn.message,
            calls=turn.calls,
            resume=turn.resume,
            reset_at=turn.reset_at,
            escalation=move.escalation,
        )
        return outcomes.with_requests(result, self._apply_requests(number, frozen))

    def _set_lost_aside(self, number: int, chosen: routing.AgentChoice) -> str:
        """Archive and charge the remains of an attempt that a crash ended; the attempt runs again.

        Returns the id of the agent's own session that the attempt left, if this agent can resume it.
        """
        folder = self._session.attempt(number)
        if not transcript.exists(folder):
            return ""
        count = 1 + self._lost_runs(number)
        spent = self._lost(number, chosen)
        self._spending.settle(number, chosen, spent, source="estimate", lost=count)
        transcript.keep(folder)
        left = transcript.own_session(folder, chosen.name) if "resume" in chosen.agent.capabilities else ""
        folder.rename(folder.with_name(f"{folder.name}-lost-{count}"))
        return left

    def _lost_runs(self, number: int) -> int:
        """Return how many runs of an attempt were lost."""
        return sum(1 for _ in self._session.folder.glob(f"{self._session.attempt(number).name}-lost-*"))

    def _lost(self, number: int, chosen: routing.AgentChoice) -> Amount:
        """Return an estimate of what an unfinished attempt took, from the bytes sent to and received from its model."""
        usage = token_costs.estimate(*transcript.traffic(self._session.attempt(number)))
        return Amount(token_costs.total(usage), token_costs.cost(usage, launch_plan.rates(chosen.agent)))

    def _choose(self, move: Move, labels: Sequence[str], last: AttemptResult | None) -> routing.AgentChoice:
        agents = self._policies.agents
        return routing.choose(
            agents,
            labels,
            asked=self._context.console.agent_name,
            escalation=move.escalation,
            down=move.down,
            last=last.agent.name if last and last.agent.name in agents.agents else None,
        )

    def _apply_requests(self, number: int, frozen: FrozenIssue) -> output_requests.AppliedRequests | None:
        """Write what the agent asked for, within policy; returns ``None`` if the agent asked for nothing."""
        requests = asked.read(launch_plan.outputs_file(self._session.attempt(number)))
        if requests == asked.RequestFile():
            return None
        return output_requests.apply(self._context, self._session, frozen, self._policies, requests, attempt=number)

    def _brief(
        self,
        frozen: FrozenIssue,
        move: Move,
        base: str,
        labels: Sequence[str],
        last: AttemptResult | None,
        handed: handover.Handover | None,
        *,
        interrupted: bool,
    ) -> str:
        return brief.render(
            frozen,
            session=self._session.id,
            attempt=move.attempt,
            spec=issue_spec.spec(self._context, self._context.main(), frozen),
            policies=self._policies,
            paths=self._context.mirror.paths(base),
            feedback=move.feedback,
            escalation=move.escalation,
            handed=handed.summary if handed else "",
            skills=guides.choose(self._context.mirror.tree(self._context.main(), guides.FOLDER), labels),
            refused=last.refused if last else (),
            interrupted=interrupted,
        )

    def _run(
        self, number: int, chosen: routing.AgentChoice, text: str, amount: Amount, resume: str
    ) -> attempt.AttemptRun:
        supervisor = Supervisor(self._session, self._held_lease, number, idle_turns=self._policies.budgets.idle_turns)
        return attempt.run(
            self._context,
            self._session,
            number,
            policies=self._policies,
            chosen=chosen,
            brief=text,
            amount=amount,
            resume=resume,
            tick=supervisor.look,
        )

    def _commit(self, number: int, frozen: FrozenIssue, ran: attempt.AttemptRun) -> tuple[str | None, Reason, str]:
        """Commit the agent's changes; if they cannot be committed, the attempt is blocked with that reason."""
        try:
            head = attempt.commit(self._context, self._session, number, frozen, ran.turn)
        except Refused as refused:
            return None, Reason.BLOCKED, str(refused)
        return head, ran.turn.reason, ran.turn.detail

    def _resume(self, chosen: routing.AgentChoice, move: Move, last: AttemptResult | None) -> str:
        """Return the agent's own session to continue: its last one, if it tries again and can resume."""
        if again := handover.resumable(self._session.folder, chosen.name):
            return again
        same = last is not None and last.agent.name == chosen.name and move.escalation is Escalation.AGAIN
        return last.resume if last and same and "resume" in chosen.agent.capabilities else ""

    def _proposed(self, number: int) -> AttemptResult | None:
        """Return the result of an attempt whose commit is on the branch already."""
        context, session = self._context, self._session
        branch = context.mirror.head(session.branch)
        if branch is None:
            return None
        mark = f"Factory-Attempt: {number}"
        for commit, text in context.mirror.messages(f"{context.main()}..{branch}"):
            lines = text.splitlines()
            if f"{handover.TRAILER}: {number}" in lines:
                return replace(outcomes.on_branch(number, commit), handed_back=True)
            if mark in lines and f"Factory-Session: {session.id}" in lines:
                return outcomes.on_branch(number, commit)
        return None

    def _kept(self, number: int) -> AttemptResult | None:
        """Return the result of an attempt that ended before, if its commit still exists on this machine."""
        result = results.read(self._session.attempt(number))
        if result is None:
            return None
        return result if result.head is None or self._context.mirror.resolve(result.head) is not None else None


def _cost(agent: Agent, usd_micros: int, source: str) -> Cost:
    version = agent.prices.version if agent.prices else None
    return Cost(usd_micros, version, source, priced=launch_plan.priced(agent), billed=agent.billed)


def agent_ref(chosen: routing.AgentChoice, version: str) -> AgentRef:
    """Return who works; ``version`` is the digest of the brief's template."""
    model = chosen.agent.model
    return AgentRef(chosen.name, chosen.agent.version, model.called if model else None, version)
