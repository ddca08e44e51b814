"""The rows of ``factory session show``: what each attempt came to, and what a person changed after it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from factory.policies.agents import Budgets
from factory.system import clock
from factory.workflow.budget import money
from factory.workflow.session import handover, results


def rows(folder: Path, budgets: Budgets) -> list[Mapping[str, object]]:
    """Return a row for each attempt in a session's folder; ``money`` is its cost in words."""
    today = clock.now().date()
    found: list[Mapping[str, object]] = [
        {
            **asdict(result),
            "by": result.agent.name,
            "tokens": result.total_tokens or "",
            "money": money.of_attempt(result, today=today, age_days=budgets.price_age_days),
        }
        for result in results.read_all(folder)
    ]
    person = handover.read(folder)
    if person is not None:
        lines = f"+{person.added} -{person.removed}"
        found.append(_row(f"after {person.after}", lines, by=person.by, head=person.head))
    return found or [_row("1", "unfinished")]


def _row(attempt: str, reason: str, *, by: str = "", head: str | None = None) -> Mapping[str, object]:
    return {"attempt": attempt, "by": by, "reason": reason, "head": head, "tokens": "", "money": ""}
