"""Describes what attempts cost, and what is not known about it. Pure."""

import re
from collections.abc import Sequence
from datetime import date, timedelta

from factory.model.attempt import AttemptResult
from factory.workflow.budget.budget import Entry

UNKNOWN = "price unknown"
_NOT_BILLED = "by the list, not billed: a plan"
_VERSION = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])(?:-([0-9]{2}))?")


def outdated(version: str, *, today: date, age_days: int) -> bool:
    """Return whether a price list, named by its month or day, is older than policy allows; any other name is not."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return False
    try:
        return date(int(found[1]), int(found[2]), int(found[3] or 1)) + timedelta(days=age_days) < today
    except (ValueError, OverflowError):
        return False


def of_attempt(result: AttemptResult, *, today: date, age_days: int) -> str:
    """Return an attempt's cost for people."""
    cost = result.cost
    if not cost.priced or (cost.prices is None and result.agent.model and result.total_tokens):
        return UNKNOWN
    notes = [] if cost.billed else [_NOT_BILLED]
    if outdated(cost.prices or "", today=today, age_days=age_days):
        notes.append(_old(cost.prices or ""))
    return f"{cost.usd_micros / 1e6:.4f} USD" + (f" ({'; '.join(notes)})" if notes else "")


def of_entry(entry: Entry) -> str:
    """Return the money of a ledger's entry for people."""
    if entry.unknown:
        return UNKNOWN
    return f"{entry.usd_micros / 1e6:.4f}" + ("" if entry.billed else f" ({_NOT_BILLED})")


def remarks(entries: Sequence[Entry], *, today: date, age_days: int) -> list[str]:
    """Return what the sum of these entries' money leaves out or takes in that nobody pays, one line for each."""
    unknown = [entry for entry in entries if entry.unknown]
    plan = [entry for entry in entries if not entry.billed and not entry.unknown]
    old = [entry for entry in entries if outdated(entry.prices, today=today, age_days=age_days)]
    lines = []
    if unknown:
        tokens = sum(entry.tokens for entry in unknown)
        lines.append(f"{UNKNOWN}: {tokens:,} tokens of {_agents(unknown)} are in no sum of USD")
    if plan:
        usd = sum(entry.usd_micros for entry in plan) / 1e6
        lines.append(f"{usd:.2f} USD of {_agents(plan)} {_NOT_BILLED}")
    lines += [
        f"{_old(version)} ({age_days} days): {_agents([entry for entry in old if entry.prices == version])}"
        for version in sorted({entry.prices for entry in old})
    ]
    return lines


def _old(version: str) -> str:
    return f"price of {version}, older than policy allows"


def _agents(entries: Sequence[Entry]) -> str:
    return ", ".join(sorted({entry.agent for entry in entries}))
