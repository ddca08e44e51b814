"""Decides from the ledger whether the budget allows an attempt. Pure.

An amount is reserved before an attempt starts and settled when it ends, so that parallel sessions cannot exceed a limit
together. Amounts are in tokens and in millionths of a US dollar.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from factory.policies.agents import Cap, SpendingLimits

# An attempt needs at least one tenth of the amount that it requests.
_LEAST = 10
RESERVED, SPENT = "reserved", "spent"
_OF_ONE_SESSION = frozenset({"run", "issue"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Amount:
    """Tokens, and millionths of a US dollar."""

    tokens: int = 0
    usd_micros: int = 0


@dataclass(frozen=True)
class Entry:
    """What one attempt reserved or spent; ``key`` is ``issue/session/attempt``, ``day`` an ISO 8601 date in UTC.

    The money is by the price list ``prices``. Without ``priced`` nobody knows it, and it is 0 here. Without ``billed``
    a plan's fee pays for the tokens, and the money is what they would cost by the list.
    """

    key: str
    issue: int
    session: str
    day: str
    agent: str
    model: str
    state: str
    tokens: int
    usd_micros: int
    source: str = ""
    priced: bool = True
    billed: bool = True
    prices: str = ""

    @property
    def unknown(self) -> bool:
        """Whether nobody knows the price of the tokens; entries of older versions say nothing of prices."""
        return not self.priced or bool(self.model and self.tokens and not self.prices and not self.usd_micros)

    @property
    def problem(self) -> str:
        """Return what is wrong with an entry that was read, or an empty string."""
        if self.state not in {RESERVED, SPENT} or not _DAY.fullmatch(self.day):
            return f"an entry has the invalid state {self.state!r} or day {self.day!r}"
        return "an entry has a negative amount" if min(self.tokens, self.usd_micros) < 0 else ""


@dataclass(frozen=True)
class BudgetIncrease:
    """An amount that a person added to the limits of one issue and one day."""

    issue: int
    day: str
    tokens: int
    usd_micros: int
    by: str


@dataclass(frozen=True)
class BudgetState:
    """One limit: what was spent, what is reserved, and the cap; ``unpriced`` are the spent tokens of unknown price."""

    bound: str
    spent: Amount
    reserved: Amount
    cap: Amount
    unpriced: int = 0

    @property
    def left(self) -> Amount:
        """The amount that is neither spent nor reserved."""
        taken = self.taken
        return Amount(max(0, self.cap.tokens - taken.tokens), max(0, self.cap.usd_micros - taken.usd_micros))

    @property
    def taken(self) -> Amount:
        """The sum of what is spent and reserved."""
        return _sum((self.spent, self.reserved))

    def near(self, percent: int) -> bool:
        """Return whether more than ``percent`` of the limit is used."""
        taken = self.taken
        return taken.tokens * 100 > self.cap.tokens * percent or taken.usd_micros * 100 > self.cap.usd_micros * percent


@dataclass(frozen=True)
class Reservation:
    """The attempt may start and spend at most ``amount``."""

    amount: Amount


@dataclass(frozen=True)
class Denial:
    """The attempt may not start: the limit is ``exhausted``, or other sessions have reserved the rest of it."""

    bound: str
    exhausted: bool
    reason: str


def states(
    entries: Sequence[Entry],
    caps: SpendingLimits,
    increases: Sequence[BudgetIncrease],
    *,
    issue: int,
    session: str,
    day: str,
) -> list[BudgetState]:
    """Return the limits that apply to a session: run, issue, day and month, in this order."""
    scopes: Mapping[str, tuple[Cap, list[Entry], list[BudgetIncrease]]] = {
        "run": (caps.run, [e for e in entries if e.session == session], [x for x in increases if x.issue == issue]),
        "issue": (caps.issue, [e for e in entries if e.issue == issue], [x for x in increases if x.issue == issue]),
        "day": (caps.day, [e for e in entries if e.day == day], [x for x in increases if x.day == day]),
        "month": (
            caps.month,
            [e for e in entries if e.day[:7] == day[:7]],
            [x for x in increases if x.day[:7] == day[:7]],
        ),
    }
    return [
        BudgetState(
            name,
            _sum([entry for entry in found if entry.state == SPENT]),
            _sum([entry for entry in found if entry.state != SPENT]),
            _allowed(cap, more),
            sum(entry.tokens for entry in found if entry.state == SPENT and entry.unknown),
        )
        for name, (cap, found, more) in scopes.items()
    ]


def admit(found: Sequence[BudgetState], wanted: Amount) -> Reservation | Denial:
    """Grant an attempt the amount ``wanted``, or what is left if that is at least a tenth of it."""
    least = Amount(wanted.tokens // _LEAST, wanted.usd_micros // _LEAST)
    for state_ in found:
        left = state_.left
        if left.tokens >= max(1, least.tokens) and left.usd_micros >= least.usd_micros:
            continue
        # Only one session works on an issue at a time, so reservations of its earlier sessions are never settled.
        taken = state_.taken if state_.bound in _OF_ONE_SESSION else state_.spent
        exhausted = (
            state_.cap.tokens - taken.tokens < max(1, least.tokens)
            or state_.cap.usd_micros - taken.usd_micros < least.usd_micros
        )
        return Denial(state_.bound, exhausted, describe(state_))
    tokens = min([wanted.tokens, *(item.left.tokens for item in found)])
    usd = min([wanted.usd_micros, *(item.left.usd_micros for item in found)])
    return Reservation(Amount(tokens, usd))


def reserve(
    entries: Sequence[Entry], caps: SpendingLimits, increases: Sequence[BudgetIncrease], entry: Entry
) -> tuple[Reservation | Denial, Entry | None]:
    """Decide on an attempt that requests the amount of ``entry``; return the ruling and the reservation to write.

    The earlier reservation of a resumed attempt does not count.
    """
    others = [item for item in entries if item.key != entry.key]
    found = states(others, caps, increases, issue=entry.issue, session=entry.session, day=entry.day)
    ruling = admit(found, Amount(entry.tokens, entry.usd_micros))
    if isinstance(ruling, Denial):
        return ruling, None
    return ruling, replace(entry, tokens=ruling.amount.tokens, usd_micros=ruling.amount.usd_micros)


def settled(entries: Sequence[Entry], entry: Entry) -> Entry:
    """Return the entry of what an attempt spent, dated on the day of its reservation if it has one."""
    return replace(entry, day=next((item.day for item in entries if item.key == entry.key), entry.day))


def describe(state_: BudgetState) -> str:
    """Describe a limit and its use for people."""
    spent, reserved, cap = state_.spent, state_.reserved, state_.cap
    return (
        f"the budget per {state_.bound} is {cap.tokens} tokens and {dollars(cap.usd_micros)}; spent: "
        f"{spent.tokens} tokens and {dollars(spent.usd_micros)}; reserved: {reserved.tokens} tokens and "
        f"{dollars(reserved.usd_micros)}"
    )


def dollars(usd_micros: int) -> str:
    """Format an amount of money for people."""
    return f"{usd_micros / 1e6:.2f} USD"


def replaced(entries: Sequence[Entry], entry: Entry) -> list[Entry]:
    """Return the entries sorted by key, with ``entry`` added or in place of the entry with its key."""
    return sorted([*(item for item in entries if item.key != entry.key), entry], key=lambda item: item.key)


def _sum(entries: Sequence[Entry | Amount]) -> Amount:
    return Amount(sum(entry.tokens for entry in entries), sum(entry.usd_micros for entry in entries))


def _allowed(cap: Cap, increases: Sequence[BudgetIncrease]) -> Amount:
    return Amount(
        cap.tokens + sum(item.tokens for item in increases),
        round(cap.usd * 1e6) + sum(item.usd_micros for item in increases),
    )
