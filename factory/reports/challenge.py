"""Renders the results of a challenge for a terminal."""

from factory.model.challenge import Summary, Tally
from factory.reports.tables import table

_RULES_SHOWN = 3


def lines(found: Summary) -> list[str]:
    """Return a table of the defect kinds, then each surviving defect with its place, then the score."""
    rows = [[tally.kind, tally.seeded, tally.killed, _rules(tally)] for tally in found.tallies]
    text = table(["kind", "seeded", "killed", "found by"], rows).splitlines()
    if found.survivors:
        text += ["", "Survived:"]
        text += [f"  {defect.path}:{defect.line}  {defect.kind}  {defect.summary}" for defect in found.survivors]
    return [*text, "", f"The gates found {found.killed} of {found.seeded} seeded defects ({found.percent} %)."]


def _rules(tally: Tally) -> str:
    more = len(tally.rules) - _RULES_SHOWN
    return ", ".join(tally.rules[:_RULES_SHOWN]) + (f" and {more} more" if more > 0 else "")
