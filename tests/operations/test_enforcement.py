"""What the mode `observe` has shown, from the recorded verdicts."""

from factory.evidence.transparency_log import Entry
from factory.operations import enforcement


def verdict(**more: object) -> Entry:
    return Entry(0, "verdict", "", {}, {"predicate": {"merge_request": 1, **more}})


def test_figures_count_the_verdicts_that_the_gates_would_have_changed() -> None:
    entries = [verdict(), verdict(observed=[]), verdict(observed=["unit"]), verdict(observed=["lint", "unit"])]
    assert enforcement.figures(entries) == [
        "Of 3 observed verdicts, the gates would have blocked 2.",
        "- `lint`: 1",
        "- `unit`: 2",
    ]
