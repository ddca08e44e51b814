"""Counts the seeded defects that the gates found."""

from collections import Counter
from collections.abc import Sequence

from factory.model.challenge import DefectOutcome, Summary, Tally


def summary(outcomes: Sequence[DefectOutcome]) -> Summary:
    """Return the number of seeded and found defects for each kind, and the defects that survived, in order."""
    kinds = sorted({outcome.defect.kind for outcome in outcomes})
    tallies = tuple(_tally(kind, [outcome for outcome in outcomes if outcome.defect.kind == kind]) for kind in kinds)
    return Summary(tallies, tuple(outcome.defect for outcome in outcomes if not outcome.killed_by))


def _tally(kind: str, outcomes: list[DefectOutcome]) -> Tally:
    counts = Counter(rule for outcome in outcomes for rule in set(outcome.killed_by))
    rules = tuple(sorted(counts, key=lambda rule: (-counts[rule], rule)))
    return Tally(kind, len(outcomes), sum(bool(outcome.killed_by) for outcome in outcomes), rules)
