"""The step in which an agent works: what it is given, how it is watched, and what came of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from factory.agents import metering
from factory.agents import outputs as asked
from factory.errors import FactoryError, Refused
from factory.gitlab import issues
from factory.model.agent import Reason
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.policies.model import Policies
from factory.system import clock, files
from factory.workflow.budget.budget import Amount
from factory.workflow.claim import issue_spec
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.context import Context
from factory.workflow.session import (
    attempt,
    brief,
    escalation,
    guides,
    handover,
    launch_plan,
    outcomes,
    output_requests,
    routing,
    transcript,
)
from factory.workflow.session.spending import Spending
from factory.workflow.session.supervisor import Supervisor
from factory.worktrees import worktree


class Attempts:
    """One session's attempts; what each came to is a JSON value that is kept and given again."""

    def __init__(self, context: Context, session: Session, policies: Policies, held_lease: HeldLease) -> None:
        self._context = context
        self._session = session
        self._policies = policies
        self._held_lease = held_lease
        self._spending = Spending(context, session, policies)

    def work(self, number: int, feedback: Sequence[str], plan: dict[str, Any]) -> dict[str, Any]:
        """Let an agent work in a worktree at the last proposal, and commit what it changed."""
        context, session = self._context, self._session
        handed = handover.read(session.folder)
        done = self._proposed(number) or self._kept(number)
        if done is not None:
            over = handed is not None and handed.after == number
            return {**done, "handed_back": True} if over else done
        if handed is not None and handed.attempt == number:
            return self._keep(number, handover.as_made(handed))
        base = (handed.head if handed else None) or context.mirror.head(session.branch) or context.main()
        worktree.prepare(context.mirror, session.worktree, commit=base)
        plan = {**plan, "labels": issues.get(context.bot, session.issue).labels}
        chosen = self._choose(plan)
        self._set_lost_aside(number, chosen)
        amount = self._spending.reserve(number, chosen)
        frozen = self._held_lease.frozen()
        text = self._brief(frozen, number, base, feedback, plan, handed)
        start = clock.monotonic()
        try:
            ran = self._run(number, chosen, text, amount, self._resume(chosen, plan))
            head, reason, detail = self._commit(number, frozen, ran)
        except FactoryError:
            self._spending.settle(number, chosen, self._lost(number, chosen), source="estimate")
            raise
        finally:
            context.timed("agent", clock.monotonic() - start)
        turn = ran.turn
        cost = metering.cost(turn.usage, launch_plan.rates(chosen.agent))
        self._spending.settle(number, chosen, Amount(metering.total(turn.usage), cost), source=turn.source)
        made = {
            "attempt": number,
            "base": base,
            "head": head,
            "tree": context.mirror.tree_of(head) if head else "",
            "reason": reason.value,
            "detail": detail,
            "seconds": round(clock.monotonic() - start, 3),
            "usage": dict(turn.usage),
            "level": ran.level,
            "limits": dict(ran.limits),
            "message": turn.message,
            "agent": _named(chosen),
            "cost": {"usd_micros": cost, "prices": _prices(chosen), "source": turn.source},
            "calls": turn.calls,
            "resume": turn.resume,
            "reset_at": turn.reset_at,
            "rung": plan["rung"],
        }
        return self._keep(number, outcomes.with_wishes(made, self._apply_wishes(number, frozen)))

    def _set_lost_aside(self, number: int, chosen: routing.AgentChoice) -> None:
        """Keep and pay for what a crash left of an attempt, which is worked on again."""
        folder = self._session.attempt(number)
        if not transcript.exists(folder):
            return
        count = 1 + sum(1 for item in self._session.folder.glob(f"{folder.name}-lost-*"))
        spent = self._lost(number, chosen)
        self._spending.settle(number, chosen, spent, source="estimate", lost=count)
        transcript.keep(folder)
        folder.rename(folder.with_name(f"{folder.name}-lost-{count}"))

    def _lost(self, number: int, chosen: routing.AgentChoice) -> Amount:
        """Return what an attempt without an end took, estimated from the bytes that passed to and from its model."""
        passed = [event for event in transcript.events(self._session.attempt(number)) if event["event"] == "network"]
        sent, received = (sum(int(event[name]) for event in passed) for name in ("sent", "received"))
        usage = metering.estimate(sent, received)
        return Amount(metering.total(usage), metering.cost(usage, launch_plan.rates(chosen.agent)))

    def made(self) -> list[dict[str, Any]]:
        """Return what each attempt came to, as far as this machine knows."""
        return made_in(self._session.folder)

    def _choose(self, plan: dict[str, Any]) -> routing.AgentChoice:
        agents, last = self._policies.agents, plan["last"]
        return routing.choose(
            agents,
            plan["labels"],
            asked=self._context.agent_name,
            rung=escalation.Escalation(plan["rung"]),
            down=plan["down"],
            last=last["agent"]["name"] if last and last["agent"]["name"] in agents.agents else None,
        )

    def _apply_wishes(self, number: int, frozen: FrozenIssue) -> output_requests.AppliedRequests | None:
        """Do what the agent asked the factory to write, within policy; an agent that asked nothing costs nothing."""
        reading = asked.read(launch_plan.outputs_file(self._session.attempt(number)))
        if reading == asked.RequestFile():
            return None
        return output_requests.apply(self._context, self._session, frozen, self._policies, reading, attempt=number)

    def _brief(
        self,
        frozen: FrozenIssue,
        number: int,
        base: str,
        feedback: Sequence[str],
        plan: dict[str, Any],
        handed: handover.Handover | None,
    ) -> str:
        return brief.render(
            frozen,
            session=self._session.id,
            attempt=number,
            spec=issue_spec.spec(self._context, self._context.main(), frozen),
            policies=self._policies,
            paths=self._context.mirror.paths(base),
            feedback=feedback,
            rung=escalation.Escalation(plan["rung"]),
            handed=handed.summary if handed else "",
            skills=guides.choose(self._context.mirror.tree(self._context.main(), guides.FOLDER), plan["labels"]),
            refused=plan["last"].get("refused", ()),
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
        """Commit what the agent changed; what cannot be committed is no work, and says why."""
        try:
            head = attempt.commit(self._context, self._session, number, frozen, ran.turn)
        except Refused as refused:
            return None, Reason.BLOCKED, str(refused)
        return head, ran.turn.reason, ran.turn.detail

    def _resume(self, chosen: routing.AgentChoice, plan: dict[str, Any]) -> str:
        """Return the agent's own session to go on with: its last one, where it is to try again and can resume."""
        last = plan["last"]
        if again := handover.resumable(self._session.folder, chosen.name):
            return again
        same = bool(last) and last["agent"]["name"] == chosen.name and plan["rung"] == escalation.Escalation.AGAIN
        return str(last["resume"]) if same and "resume" in chosen.agent.capabilities else ""

    def _keep(self, number: int, made: dict[str, Any]) -> dict[str, Any]:
        files.write_atomic(self._session.attempt(number) / "turn.json", json.dumps(made, indent=1).encode())
        return made

    def _proposed(self, number: int) -> dict[str, Any] | None:
        """Return what the branch shows of an attempt that was pushed already."""
        context, session = self._context, self._session
        branch = context.mirror.head(session.branch)
        if branch is None:
            return None
        mark = f"Factory-Attempt: {number}"
        for commit, text in context.mirror.messages(f"{context.main()}..{branch}"):
            lines = text.splitlines()
            if f"{handover.TRAILER}: {number}" in lines:
                return {**outcomes.on_branch(commit), "handed_back": True}
            if mark in lines and f"Factory-Session: {session.id}" in lines:
                return outcomes.on_branch(commit)
        return None

    def _kept(self, number: int) -> dict[str, Any] | None:
        """Return what the attempt came to if it ended before and its commit is still here."""
        path = self._session.attempt(number) / "turn.json"
        if not path.exists():
            return None
        made: dict[str, Any] = json.loads(files.read_text(path))
        there = made["head"] is None or self._context.mirror.resolve(made["head"]) is not None
        return made if there else None


def made_in(folder: Path) -> list[dict[str, Any]]:
    """Return what each attempt of a session's folder came to."""
    return [json.loads(files.read_text(path)) for path in sorted(folder.glob("attempt-*/turn.json"))]


def _named(chosen: routing.AgentChoice) -> dict[str, Any]:
    model = chosen.agent.model
    return {
        "name": chosen.name,
        "version": chosen.agent.version,
        "model": model.name if model else None,
        "brief": brief.version(),
    }


def _prices(chosen: routing.AgentChoice) -> str | None:
    return chosen.agent.prices.version if chosen.agent.prices else None
