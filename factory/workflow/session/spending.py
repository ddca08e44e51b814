"""Reserves budget before each attempt and settles it afterwards; a person decides when a budget is exhausted."""

from dataclasses import replace

from factory.errors import BudgetExhausted, Conflict
from factory.gitlab import issues
from factory.model.session import Session
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow.budget import ledger
from factory.workflow.budget.budget import RESERVED, SPENT, Amount, Denial, Entry
from factory.workflow.context import Context
from factory.workflow.session import launch_plan
from factory.workflow.session.routing import AgentChoice


class Spending:
    """One session's entries in the ledger."""

    def __init__(self, context: Context, session: Session, policies: Policies) -> None:
        self._context = context
        self._session = session
        self._policies = policies

    def reserve(self, number: int, chosen: AgentChoice) -> Amount:
        """Reserve and return the amount that an attempt may spend.

        Raises ``BudgetExhausted`` if a limit is exhausted, and ``Conflict`` if other sessions have reserved the rest.
        """
        context, issue = self._context, self._session.issue
        increases = ledger.increases(context, self._policies, issue)
        entry = self._entry(number, chosen, RESERVED, launch_plan.requested_amount(chosen.agent), "")
        ruling = ledger.reserve(context, self._policies, entry, increases=increases)
        if not isinstance(ruling, Denial):
            return ruling.amount
        if not ruling.exhausted:
            raise Conflict(
                f"#{issue} waits: {ruling.reason}", hint="Other sessions have reserved the rest. Try again later."
            )
        labels = self._policies.session.labels
        body = f"Stopped: {ruling.reason}. To allow more, run `factory budget increase {issue}`."
        issues.say(context.bot, "issues", issue, marker=f"exhausted {self._session.id} {number}", body=body)
        issues.relabel(context.bot, issue, add=[labels.exhausted], remove=[labels.claimed, labels.ready])
        raise BudgetExhausted(f"#{issue}: {ruling.reason}")

    def settle(self, number: int, chosen: AgentChoice, spent: Amount, *, source: str, lost: int = 0) -> None:
        """Replace the reservation by the spent amount; ``source`` says where the figure comes from.

        ``lost`` numbers the runs of an attempt that a crash interrupted: each gets an entry of its own.
        """
        entry = self._entry(number, chosen, SPENT, spent, source)
        ledger.settle(self._context, replace(entry, key=f"{entry.key}-lost-{lost}") if lost else entry)

    def _entry(self, number: int, chosen: AgentChoice, state: str, amount: Amount, source: str) -> Entry:
        session = self._session
        return Entry(
            key=f"{session.issue}/{session.id}/{number}",
            issue=session.issue,
            session=session.id,
            day=clock.timestamp()[:10],
            agent=chosen.name,
            model=chosen.agent.model.called if chosen.agent.model else "",
            state=state,
            tokens=amount.tokens,
            usd_micros=amount.usd_micros,
            source=source,
            priced=launch_plan.priced(chosen.agent),
            billed=chosen.agent.billed,
            prices=chosen.agent.prices.version if chosen.agent.prices else "",
        )
