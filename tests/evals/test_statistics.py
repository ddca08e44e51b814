"""Intervals and comparisons: against published values, and against what repetition must not pretend."""

import json
import math
from typing import Any

import pytest

from factory.errors import InvalidInput
from factory.evals import issues, report, statistics
from factory.evals.statistics import Outcome, Result
from factory.gates import GATES
from factory.workflow.session import brief
from tests.servers import ROOT


def outcome(issue: str, variant: str = "a", result: Result = "passed", **more: Any) -> Outcome:
    usual = {"run": 1, "reason": "", "attempts": 1, "tokens": 10, "usd_micros": 0, "seconds": 1.0}
    return Outcome(issue=issue, variant=variant, result=result, **{**usual, **more})


@pytest.mark.parametrize(
    ("rate", "runs", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
    [
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_as_published(rate: float, runs: int, low: float, high: float) -> None:
    found = statistics.wilson(rate, runs)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("count", "t"), [(2, 12.706), (11, 2.228), (13, 2.179), (31, 2.042), (121, 1.980)])
def test_means_have_students_interval(count: int, t: float) -> None:
    values = [0.0, 1.0] + [0.5] * (count - 2)
    found = statistics.mean(values)
    spread = math.sqrt(0.5 / (count - 1)) / math.sqrt(count)
    assert found.value == pytest.approx(0.5)
    assert found.high is not None
    assert (found.high - 0.5) / spread == pytest.approx(t, abs=1e-3)


def test_one_value_has_no_interval() -> None:
    assert statistics.mean([3.0]) == statistics.Estimate(3.0)
    assert statistics.wilson(1.0, 0) == statistics.Estimate(1.0)


@pytest.mark.parametrize(
    ("groups", "count"),
    [([[1], [0], [1]], 3), ([[1, 1], [0, 0]], 2), ([[1, 0], [0, 1]], 4), ([[1, 1], [1, 1]], 2), ([[1, 1, 1]], 1)],
)
def test_repeating_what_always_agrees_tells_nothing_new(groups: list[list[float]], count: float) -> None:
    assert statistics.independent(groups) == pytest.approx(count)


def test_a_summary_counts_issues_and_leaves_out_what_was_not_judged() -> None:
    found = [
        outcome("x", run=1, tokens=10),
        outcome("x", run=2, tokens=20),
        outcome("y", result="failed", tokens=45, denials=1, left_to_person=1),
        outcome("y", result="not judged", tokens=9999, run=2),
    ]
    (made,) = statistics.summarise(found)
    assert (made.runs, made.issues, made.not_judged) == (3, 2, 1)
    assert made.measures["rate"].value == pytest.approx(2 / 3)
    assert made.measures["tokens"].value == 30
    assert made.measures["interventions"].value == 1
    (nothing,) = statistics.summarise([outcome("x", result="not judged")])
    assert nothing.measures == {}


def test_two_variants_are_compared_issue_by_issue() -> None:
    spread = [("x", 10), ("y", 1000), ("z", 100_000)]
    found = [outcome(name, "a", tokens=tokens) for name, tokens in spread]
    found += [outcome(name, "b", tokens=tokens + 5) for name, tokens in spread]
    by_name = {item.measure: item for item in statistics.compare(found)}
    assert by_name["tokens"].told_apart, "the issues differ more than the variants do, but each in the same way"
    assert by_name["tokens"].value == 5
    assert not by_name["rate"].told_apart
    assert statistics.compare(found[:3]) == []
    assert not any(item.told_apart for item in statistics.compare([found[0], found[3]]))


def test_rates_differ_as_published() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:873), table II, example (a), method 10.
    found = [outcome(f"a{n}", "a", "passed" if n < 48 else "failed") for n in range(80)]
    found += [outcome(f"b{n}", "b", "passed" if n < 56 else "failed") for n in range(70)]
    rate = statistics.compare(found)[0]
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert rate.told_apart


def test_the_text_says_what_cannot_be_told_apart() -> None:
    found = [outcome(name, variant, tokens=7) for name in "xy" for variant in "ab"]
    found.append(outcome("z", "a", "failed", reason="blocked: no"))
    told = report.text(found)
    assert "rate: +0.33" in told
    assert "no significant difference" in told
    assert "a, z, run 1: failed: blocked: no" in told
    assert "usd: +0.0000" in told


def test_a_model_without_a_price_has_no_cost_and_estimates_are_said_to_be() -> None:
    found = [outcome("x", "a", usd_micros=None), outcome("x", "b", usd_micros=5, estimated=True)]
    first, second = statistics.summarise(found)
    assert "usd" not in first.measures
    assert second.measures["usd"].value == 5e-6
    told = report.text(found)
    assert "no price" in told
    assert "b: some token counts are estimated" in told
    assert "usd:" not in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("issues: []", "issues: must not be empty"),
        ("issues: [{name: a, title: t, text: x}]", "issues.0.spec: set either `spec` or"),
        (
            "issues: [{name: a, title: t, text: x, spec: hello, small: true}]",
            "issues.0.spec: set either `spec` or",
        ),
        ("issues: [{name: a, title: t, text: x, spec: hello, gates: [units]}]", "issues.0.gates: there is no gate"),
        ("issues: [{name: a, title: t, text: x, spec: hello, chek: []}]", "issues.0.chek: unknown key"),
        ("issues: [{name: a, title: t, spec: hello}]", "issues.0.text: is missing"),
    ],
)
def test_a_set_is_read_strictly(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=r"^s\.yml: ") as caught:
        issues.read(text, source="s.yml", gates=GATES.__contains__)
    assert told in str(caught.value)


def test_the_brief_that_ships_carries_its_result() -> None:
    path = ROOT / "docs/evals/results" / f"{brief.version().removeprefix('sha256:')}.json"
    assert path.exists(), "the brief's template changed: run `factory eval --record`"
    found = json.loads(path.read_text())
    assert found["brief"] == brief.version()
    known = issues.read((ROOT / "docs/evals/hello/issues.yml").read_text(), source="", gates=GATES.__contains__)
    assert {item["issue"] for item in found["outcomes"]} == {item.name for item in known.issues}
    assert all(item["result"] == "passed" for item in found["outcomes"])
