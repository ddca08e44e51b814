"""Shows what a doctor command found, and names what is lacking."""

from collections.abc import Sequence

from factory.model.diagnosis import Diagnosis
from factory.reports.tables import table


def lines(found: Sequence[Diagnosis]) -> list[str]:
    """Return a table of the findings, and below it each fix that has several lines."""
    rows = [[item.thing, item.state, item.found, item.fix.split("\n")[0]] for item in found]
    long = [f"\n{item.thing}:\n{item.fix}" for item in found if "\n" in item.fix]
    return [table(["", "", "found", "fix"], rows), *long]


def lacking(found: Sequence[Diagnosis]) -> str:
    """Return what is required and not there, in a list; empty if nothing is."""
    return ", ".join(item.thing for item in found if item.required and item.state != "ok")
