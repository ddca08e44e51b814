"""What is said of attempts' costs: an unknown price is never shown as no money, and a plan's tokens are not billed."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult, Cost
from factory.model.plan_window import PlanWindow
from factory.policies.agents import Cap, SpendingLimits
from factory.workflow.budget import budget, ledger, money, plan_use
from factory.workflow.budget.budget import SPENT, Entry

TODAY = date(2026, 12, 2)
NOW = datetime(2026, 12, 2, 12, 0, tzinfo=UTC)
BILLED = Entry("1/s/1", 1, "s", "2026-12-02", "codex", "m", SPENT, 1000, 20_000, "provider", prices="2026-11")
UNKNOWN = replace(BILLED, key="1/s/2", agent="opencode", usd_micros=0, priced=False, prices="")
PLAN = replace(BILLED, key="1/s/3", agent="claude", usd_micros=1_500_000, billed=False)
CAP = Cap(tokens=10_000, usd=10)
CAPS = SpendingLimits(run=CAP, issue=CAP, day=CAP, month=CAP)
RESULT = AttemptResult(1, "b", None, Reason.DONE_FOR_REVIEW, "", AgentRef("a", "1", "m"), usage={"total_tokens": 5})


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("2025-10", True),
        ("2025-10-27", True),
        ("2025-10-28", False),
        ("2025-11", False),
        ("1", False),
        ("", False),
        ("2025-13", False),
        ("2025-02-30", False),
        ("9999-12-31", False),
        ("today", False),
    ],
)
def test_prices_are_old_by_the_date_in_their_version(version: str, *, old: bool) -> None:
    assert money.outdated(version, today=TODAY, age_days=400) is old


def test_the_cost_of_an_attempt_in_words() -> None:
    def said(cost: Cost, result: AttemptResult = RESULT) -> str:
        return money.of_attempt(replace(result, cost=cost), today=TODAY, age_days=400)

    assert said(Cost(20_000, "2026-11")) == "0.0200 USD"
    assert said(Cost(0, None, priced=False)) == "price unknown"
    assert said(Cost(0, None)) == "price unknown", "a result of an older version"
    assert said(Cost(0, None), replace(RESULT, agent=AgentRef("replay"))) == "0.0000 USD"
    assert said(Cost(20_000, "2025-10", billed=False)) == (
        "0.0200 USD (by the list, not billed: a plan; price of 2025-10, older than policy allows)"
    )


def test_what_a_sum_leaves_out_is_said() -> None:
    old = replace(BILLED, agent="aider", prices="2025-10")
    assert money.remarks([BILLED], today=TODAY, age_days=400) == []
    assert money.remarks([BILLED, UNKNOWN, PLAN, old, UNKNOWN], today=TODAY, age_days=400) == [
        "price unknown: 2,000 tokens of opencode are in no sum of USD",
        "1.50 USD of claude by the list, not billed: a plan",
        "price of 2025-10, older than policy allows (400 days): aider",
    ]
    assert [money.of_entry(item) for item in (BILLED, UNKNOWN, PLAN)] == [
        "0.0200",
        "price unknown",
        "1.5000 (by the list, not billed: a plan)",
    ]


def test_a_limit_counts_the_tokens_of_unknown_price() -> None:
    found = budget.states([BILLED, UNKNOWN, PLAN], CAPS, [], issue=1, session="s", day="2026-12-02")
    assert [item.unpriced for item in found] == [1000] * 4
    assert found[0].spent == budget.Amount(3000, 1_520_000)


def test_entries_of_an_older_version_are_read() -> None:
    row = '{"key": "1/s/1", "issue": 1, "session": "s", "day": "2026-12-02", "agent": "a", "model": "m", "tokens": 9,'
    (found,) = ledger.decode("x", f'[{row} "state": "spent", "usd_micros": 0, "source": "agent"}}]'.encode())
    assert found.unknown
    assert found.billed


def test_windows_are_kept_by_agent_and_read_again(tmp_path: Path) -> None:
    window = PlanWindow("5 h", 62, "2026-12-02T14:10:00.000Z")
    plan_use.keep(tmp_path, "claude", (window,))
    plan_use.keep(tmp_path, "codex", ())
    (tmp_path / "plan-windows/broken.json").write_text("{")
    (found,) = plan_use.newest(tmp_path)
    assert found.lines(NOW) == ["claude · 5 h: 62 %, resets 14:10 UTC"]
    assert found.lines(datetime(2026, 12, 2, 15, 0, tzinfo=UTC)) == ["claude · 5 h: 0 %, was 62 % until 14:10 UTC"]
    assert plan_use.PlanUse("c", "", (PlanWindow("7 d", 5, "2026-12-07T09:00:00.000Z"),)).lines(NOW) == [
        "c · 7 d: 5 %, resets 2026-12-07 09:00 UTC"
    ]
