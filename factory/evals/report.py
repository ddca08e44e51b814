"""Formats an evaluation as JSON and as text. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from factory.evals import statistics
from factory.evals.run import Variant
from factory.evals.statistics import Difference, Estimate, Outcome
from factory.policies.model import Policies
from factory.reports.tables import table
from factory.workflow.session import brief

FORMAT = 1
_HEADINGS = ("variant", "runs", "issues", "passed", "USD", "tokens", "attempts", "interventions", "seconds")
_DIGITS = {"rate": 2, "usd": 4, "tokens": 0, "attempts": 2, "interventions": 2, "seconds": 1}


def build(
    *, name: str, runs: int, variants: Sequence[Variant], policies: Policies, outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    """Return an evaluation as a JSON value: the variants, the statistics, and every run."""
    return {
        "format": FORMAT,
        "set": name,
        "runs": runs,
        "policy": policies.digest,
        "variants": [_variant(item, policies) for item in variants],
        "summaries": [_rounded(asdict(item)) for item in statistics.summarise(outcomes)],
        "differences": [
            _rounded({**asdict(item), "told_apart": item.told_apart}) for item in statistics.compare(outcomes)
        ],
        "outcomes": [asdict(item) for item in outcomes],
    }


def by_brief(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split an evaluation by brief digest; each part has the variants of that brief and no comparison."""
    found = {}
    for digest in dict.fromkeys(item["brief"] for item in report["variants"]):
        names = {item["name"] for item in report["variants"] if item["brief"] == digest}
        part = {key: value for key, value in report.items() if key not in {"differences", "variants"}}
        part["brief"] = digest
        part["variants"] = [item for item in report["variants"] if item["brief"] == digest]
        for key in ("summaries", "outcomes"):
            part[key] = [item for item in report[key] if item["variant"] in names]
        found[digest] = part
    return found


def text(outcomes: Sequence[Outcome]) -> str:
    """Return an evaluation as text: a table, a comparison of two variants, and the failed runs."""
    rows = []
    for item in statistics.summarise(outcomes):
        absent = "no price" if item.runs else "not judged"
        cells = [_estimate(name, item.measures.get(name), absent) for name in ("rate", *statistics.MEASURES)]
        rows.append([item.variant, item.runs, item.issues, *cells])
    lines = [table(_HEADINGS, rows), "", "[95 % interval]; rate: Wilson, means: Student's t over issues"]
    estimated = dict.fromkeys(item.variant for item in outcomes if item.estimated)
    lines += [f"{name}: some token counts are estimated from the transferred bytes" for name in estimated]
    compared = statistics.compare(outcomes)
    if compared:
        lines += ["", f"{compared[0].second} minus {compared[0].first}:", *map(_difference, compared)]
    missed = [item for item in outcomes if item.result != "passed"]
    if missed:
        lines += [
            "",
            *(f"{item.variant}, {item.issue}, run {item.run}: {item.result}: {item.reason}" for item in missed),
        ]
    return "\n".join(lines)


def _variant(item: Variant, policies: Policies) -> dict[str, Any]:
    agent = item.chosen(policies).agent
    return {
        "name": item.name,
        "agent": item.agent,
        "version": agent.version,
        "model": agent.model.called if agent.model else None,
        "prices": agent.prices.version if agent.prices else None,
        "brief": brief.version(item.template),
    }


def _difference(item: Difference) -> str:
    digits = _DIGITS[item.measure]
    if item.low is None or item.high is None:
        return f"  {item.measure}: {item.value:+.{digits}f}; one issue is too few to show a difference"
    words = "they differ" if item.told_apart else "no significant difference"
    return f"  {item.measure}: {item.value:+.{digits}f} [{item.low:+.{digits}f}, {item.high:+.{digits}f}]; {words}"


def _estimate(measure: str, found: Estimate | None, absent: str) -> str:
    if found is None:
        return absent
    digits = _DIGITS[measure]
    if found.low is None or found.high is None:
        return f"{found.value:.{digits}f}"
    # These values can't be negative, although a symmetric interval may be.
    return f"{found.value:.{digits}f} [{max(0.0, found.low):.{digits}f}, {found.high:.{digits}f}]"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 6) if isinstance(value, float) else value
