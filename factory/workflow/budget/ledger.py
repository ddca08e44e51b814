"""The ledger: what each attempt reserved and spent, on the protected branch ``factory/ledger``.

A push that is not a fast-forward is refused, so two factories that admit work at once see each other's reservation:
the later one reads again and decides anew. One file per month, ``<yyyy-mm>.json``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from factory.errors import InvalidInput
from factory.gitlab import issues, members
from factory.policies.model import Policies
from factory.system import clock
from factory.workflow.append_branch import Addition, append
from factory.workflow.budget import budget
from factory.workflow.budget.budget import BudgetIncrease, BudgetState, Denial, Entry, Reservation
from factory.workflow.context import Context

BRANCH = "factory/ledger"
_T = TypeVar("_T")
_INCREASE = re.compile(r"\ABudget: \+(\d{1,12}) tokens, \+(\d{1,6}(?:\.\d{1,2})?) USD$", re.MULTILINE)
_MAY_INCREASE = ("maintainer", "owner", "administrator")


def read(context: Context) -> list[Entry]:
    """Return all entries as of the last fetch; raises ``InvalidInput`` where the branch holds something else."""
    head = context.mirror.head(BRANCH)
    tree = context.mirror.tree(head) if head else {}
    try:
        return [entry for path in sorted(tree) for entry in _entries(tree[path])]
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{BRANCH} cannot be read: {error}", hint="Compare it with an older commit of it."
        ) from error


def reserve(
    context: Context, policies: Policies, entry: Entry, *, increases: Sequence[BudgetIncrease]
) -> Reservation | Denial:
    """Reserve what an attempt wants, or what is left of it; an attempt that is resumed keeps its own reservation."""
    return _write(
        context,
        lambda entries: budget.reserve(entries, policies.budgets.caps, increases, entry),
        f"reserve {entry.key}",
    )


def settle(context: Context, entry: Entry) -> None:
    """Replace an attempt's reservation by what it spent; it counts for the day on which it was admitted."""
    _write(context, lambda entries: (None, budget.settled(entries, entry)), f"settle {entry.key}")


def states(context: Context, policies: Policies, *, issue: int, session: str) -> list[BudgetState]:
    """Return how the bounds stand for an issue's session now."""
    found = increases(context, policies, issue)
    day = clock.timestamp()[:10]
    return budget.states(read(context), policies.budgets.caps, found, issue=issue, session=session, day=day)


def increases(context: Context, policies: Policies, issue: int) -> list[BudgetIncrease]:
    """Return what people allowed on an issue beyond the bounds: notes of maintainers who are no agents."""
    notes = issues.notes(context.bot, "issues", issue)
    machines = {context.bot.account, context.agent.account, *policies.scope.agents}
    roles: dict[str, str] = {}
    found = []
    for note in notes:
        for tokens, usd in _INCREASE.findall(note.body) if note.author not in machines else []:
            role = roles.setdefault(note.author, members.role(context.bot, note.author))
            if role in _MAY_INCREASE:
                found.append(
                    BudgetIncrease(issue, note.created_at[:10], int(tokens), round(float(usd) * 1e6), note.author)
                )
    return found


def increase_note(tokens: int, usd: float) -> str:
    """Return the note by which a person allows more."""
    return f"Budget: +{tokens} tokens, +{usd:.2f} USD"


def _entries(content: bytes) -> list[Entry]:
    found = json.loads(content)
    if not isinstance(found, list):
        raise ValueError("a file holds no list")  # noqa: TRY004 - what ``json`` raises for what it cannot read
    return [Entry.from_json(item) for item in found]


def _write(context: Context, decide: Callable[[list[Entry]], tuple[_T, Entry | None]], message: str) -> _T:
    """Decide on the newest ledger and append what was decided; a denial is decided once more on what is there now."""
    fresh = False

    def decided() -> Addition[_T]:
        nonlocal fresh
        entries = read(context)
        answer, entry = decide(entries)
        if entry is None and not fresh:  # what others hold may have been settled since the last fetch
            context.fetch()
            entries, fresh = read(context), True
            answer, entry = decide(entries)
        same = entry is None or entry in entries
        return Addition(answer, {} if same or entry is None else _changes(entries, entry), message)

    return append(context, BRANCH, decided)


def _changes(entries: Sequence[Entry], entry: Entry) -> Mapping[str, bytes | None]:
    """Return the files that change: that of the entry's month, and of another one where it stood before."""
    after = budget.replaced(entries, entry)
    months = {entry.day[:7], *(item.day[:7] for item in entries if item.key == entry.key)}
    return {
        f"{month}.json": json.dumps(
            [item.to_json() for item in after if item.day[:7] == month], indent=0, sort_keys=True
        ).encode()
        for month in months
    }
