"""The ledger on the protected branch ``factory/ledger``: what each attempt reserved and spent.

GitLab refuses a push that is not a fast-forward. If two factories reserve at the same time, the second one reads the
ledger again and decides again. The branch has one file per month, ``<yyyy-mm>.json``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

from factory.errors import InvalidInput
from factory.gitlab import accounts, issues
from factory.policies.model import Policies
from factory.system import clock, data
from factory.workflow.append_branch import Addition, append
from factory.workflow.budget import budget
from factory.workflow.budget.budget import BudgetIncrease, BudgetState, Denial, Entry, Reservation
from factory.workflow.context import Context

BRANCH = "factory/ledger"
_T = TypeVar("_T")
_INCREASE = re.compile(r"\ABudget: \+(\d{1,12}) tokens, \+(\d{1,6}(?:\.\d{1,2})?) USD$", re.MULTILINE)
_MAY_INCREASE = ("maintainer", "owner", "administrator")


def read(context: Context) -> list[Entry]:
    """Return all entries as of the last fetch; raises ``InvalidInput`` if the branch has other content."""
    head = context.mirror.head(BRANCH)
    tree = context.mirror.tree(head) if head else {}
    try:
        return [entry for path in sorted(tree) for entry in decode(path, tree[path])]
    except InvalidInput as error:
        raise InvalidInput(
            f"{BRANCH} cannot be read: {error}", hint="Compare the branch with an older commit of it."
        ) from error


def reserve(
    context: Context, policies: Policies, entry: Entry, *, increases: Sequence[BudgetIncrease]
) -> Reservation | Denial:
    """Reserve the amount that an attempt requests, or what is left; a resumed attempt replaces its reservation."""
    return _write(
        context,
        lambda entries: budget.reserve(entries, policies.budgets.caps, increases, entry),
        f"reserve {entry.key}",
    )


def settle(context: Context, entry: Entry) -> None:
    """Replace an attempt's reservation with what it spent, dated on the day of the reservation."""
    _write(context, lambda entries: (None, budget.settled(entries, entry)), f"settle {entry.key}")


def states(context: Context, policies: Policies, *, issue: int, session: str) -> list[BudgetState]:
    """Return the limits that apply to a session now; ``issue`` 0 is none."""
    found = increases(context, policies, issue) if issue else []
    day = clock.timestamp()[:10]
    return budget.states(read(context), policies.budgets.caps, found, issue=issue, session=session, day=day)


def increases(context: Context, policies: Policies, issue: int) -> list[BudgetIncrease]:
    """Return the budget increases in notes on an issue; only notes of maintainers who are not agents count."""
    notes = issues.notes(context.bot, "issues", issue)
    ours = {context.bot.account, context.agent.account, *policies.scope.agents}
    roles: dict[str, str] = {}
    found = []
    for note in notes:
        for tokens, usd in _INCREASE.findall(note.body) if note.author not in ours else []:
            role = roles.setdefault(note.author, accounts.role(context.bot, note.author))
            if role in _MAY_INCREASE:
                found.append(
                    BudgetIncrease(issue, note.created_at[:10], int(tokens), round(float(usd) * 1e6), note.author)
                )
    return found


def increase_note(tokens: int, usd: float) -> str:
    """Return the text of the note with which a person increases a budget."""
    return f"Budget: +{tokens} tokens, +{usd:.2f} USD"


def decode(path: str, content: bytes) -> tuple[Entry, ...]:
    """Return the entries in a file of the branch; raises ``InvalidInput``."""
    found = data.parse(tuple[Entry, ...], content, source=path)
    if problem := next((entry.problem for entry in found if entry.problem), ""):
        raise InvalidInput(f"{path}: {problem}")
    return found


def _write(context: Context, decide: Callable[[list[Entry]], tuple[_T, Entry | None]], message: str) -> _T:
    """Decide on the ledger and append the entry; before a denial, fetch the ledger and decide once more."""
    fresh = False

    def decided() -> Addition[_T]:
        nonlocal fresh
        entries = read(context)
        answer, entry = decide(entries)
        if entry is None and not fresh:  # other reservations may have been settled since the last fetch
            context.fetch()
            entries, fresh = read(context), True
            answer, entry = decide(entries)
        same = entry is None or entry in entries
        return Addition(answer, {} if same or entry is None else _changes(entries, entry), message)

    return append(context, BRANCH, decided)


def _changes(entries: Sequence[Entry], entry: Entry) -> Mapping[str, bytes | None]:
    """Return the changed files: that of the entry's month, and of the month in which it was before."""
    after = budget.replaced(entries, entry)
    months = {entry.day[:7], *(item.day[:7] for item in entries if item.key == entry.key)}
    return {
        f"{month}.json": json.dumps(
            [asdict(item) for item in after if item.day[:7] == month], indent=0, sort_keys=True
        ).encode()
        for month in months
    }
