"""Computes rates and means with 95 % intervals from runs of recorded issues. Pure.

Runs of one issue are correlated, so the issue is the unit: a mean's interval is Student's t over the issues' means, and
a rate's is Wilson's score interval (Wilson 1927) on the effective number of independent runs (Kish's design effect).
Two variants are compared issue by issue; rates by Newcombe's hybrid score interval (Newcombe 1998, method 10).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Literal

_Z = NormalDist().inv_cdf(0.975)
# Student's t, two-sided 95 %, for 1 to 10 degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

Result = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True)
class Outcome:
    """One run of one issue by one variant.

    ``reason`` says how it ended. Money is in millionths of a US dollar, ``None`` for a model without a price.
    ``estimated`` means that provider and agent did not count all tokens. ``seconds`` is wall time. A run is not judged
    if it ended for a reason outside the agent, such as an unavailable provider.
    """

    issue: str
    variant: str
    run: int
    result: Result
    reason: str
    attempts: int
    tokens: int
    usd_micros: int | None
    seconds: float
    estimated: bool = False
    questions: int = 0
    denials: int = 0
    left_to_person: int = 0

    @property
    def interventions(self) -> int:
        """Return the number of questions, denied requests, and work left to a person."""
        return self.questions + self.denials + self.left_to_person


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; the bounds are ``None`` if too few issues were run."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Summary:
    """One variant: the numbers of judged runs, of their issues and of unjudged runs, and the measures.

    ``measures`` has ``rate`` (of passed runs) and the known ones of ``MEASURES``; it is empty if no run was judged.
    """

    variant: str
    runs: int
    issues: int
    not_judged: int
    measures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """The second variant minus the first, by one measure."""

    measure: str
    first: str
    second: str
    value: float
    low: float | None
    high: float | None

    @property
    def told_apart(self) -> bool:
        """Return whether the interval excludes 0, so that these runs show a difference."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


Measure = Callable[[Outcome], float | None]
MEASURES: Mapping[str, Measure] = {
    "usd": lambda item: None if item.usd_micros is None else item.usd_micros / 1e6,
    "tokens": lambda item: item.tokens,
    "attempts": lambda item: item.attempts,
    "interventions": lambda item: item.interventions,
    "seconds": lambda item: item.seconds,
}


def summarise(outcomes: Iterable[Outcome]) -> list[Summary]:
    """Return a summary of each variant, in order of first appearance."""
    found = list(outcomes)
    return [_summary(name, [item for item in found if item.variant == name]) for name in _names(found)]


def compare(outcomes: Iterable[Outcome]) -> list[Difference]:
    """Return the differences between two variants, by rate and each measure; empty unless there are exactly two."""
    found = list(outcomes)
    names = _names(found)
    if len(names) != 2:  # noqa: PLR2004 - a comparison is of two
        return []
    judged = [item for item in found if item.result != "not judged"]
    first, second = ([item for item in judged if item.variant == name] for name in names)
    if not first or not second:
        return []
    differences = [_rates(names, first, second)]
    for measure, of in MEASURES.items():
        one, other = _by_issue(first, of), _by_issue(second, of)
        pairs = [fmean(other[name]) - fmean(one[name]) for name in one if name in other]
        if pairs:
            found_mean = mean(pairs)
            differences.append(
                Difference(measure, names[0], names[1], found_mean.value, found_mean.low, found_mean.high)
            )
    return differences


def mean(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with Student's t interval; one value has no interval."""
    middle = fmean(values)
    if len(values) < 2:  # noqa: PLR2004 - a spread needs two
        return Estimate(middle)
    half = _student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Estimate(middle, middle - half, middle + half)


def wilson(rate: float, runs: float) -> Estimate:
    """Return a rate with Wilson's interval; ``runs`` may be a fraction, and 0 runs have no interval."""
    if runs <= 0:
        return Estimate(rate)
    middle = (rate + _Z**2 / (2 * runs)) / (1 + _Z**2 / runs)
    half = _Z / (1 + _Z**2 / runs) * math.sqrt(rate * (1 - rate) / runs + _Z**2 / (4 * runs**2))
    low = 0.0 if rate == 0 else max(0.0, middle - half)
    return Estimate(rate, low, 1.0 if rate == 1 else min(1.0, middle + half))


def independent(groups: Sequence[Sequence[float]]) -> float:
    """Return the effective number of independent runs; ``groups`` has the runs of each issue.

    It is the number of issues if runs of one issue always agree, and the number of runs if they agree no more than runs
    of different issues (intraclass correlation by analysis of variance, Kish's design effect).
    """
    sizes = [len(group) for group in groups]
    total, count = sum(sizes), len(groups)
    if total == count:
        return float(total)
    size = total / count
    if count == 1:
        return 1.0
    overall = fmean([value for group in groups for value in group])
    between = sum(len(group) * (fmean(group) - overall) ** 2 for group in groups) / (count - 1)
    within = sum((value - fmean(group)) ** 2 for group in groups for value in group) / (total - count)
    spread = between + (size - 1) * within
    # Without any spread the runs do not show how much issues differ, so each issue counts once.
    alike = (between - within) / spread if spread else 1.0
    return total / (1 + (size - 1) * min(1.0, max(0.0, alike)))


def _summary(name: str, outcomes: Sequence[Outcome]) -> Summary:
    judged = [item for item in outcomes if item.result != "not judged"]
    found: dict[str, Estimate] = {}
    if judged:
        found["rate"] = _rate(judged)
        for measure, of in MEASURES.items():
            if groups := _by_issue(judged, of):
                found[measure] = mean([fmean(values) for values in groups.values()])
    return Summary(name, len(judged), len({item.issue for item in judged}), len(outcomes) - len(judged), found)


def _rate(judged: Sequence[Outcome]) -> Estimate:
    groups = list(_by_issue(judged, _passed).values())
    return wilson(fmean([_passed(item) for item in judged]), independent(groups))


def _rates(names: Sequence[str], first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
    one, other = _rate(first), _rate(second)
    value = other.value - one.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Difference("rate", names[0], names[1], value, None, None)
    low = value - math.hypot(other.value - other.low, one.high - one.value)
    high = value + math.hypot(other.high - other.value, one.value - one.low)
    return Difference("rate", names[0], names[1], value, low, high)


def _passed(item: Outcome) -> float:
    return float(item.result == "passed")


def _by_issue(outcomes: Iterable[Outcome], of: Measure) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for item in outcomes:
        value = of(item)
        if value is not None:
            found.setdefault(item.issue, []).append(value)
    return found


def _names(outcomes: Iterable[Outcome]) -> list[str]:
    return list(dict.fromkeys(item.variant for item in outcomes))


def _student(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t; beyond ten degrees by Cornish-Fisher's expansion."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    return (
        _Z
        + (_Z**3 + _Z) / (4 * freedom)
        + (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / (96 * freedom**2)
        + (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / (384 * freedom**3)
    )
