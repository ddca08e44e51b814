"""The last lines of a run that held a hostile suite: how many tricks were tried, and whether all were held."""

from collections.abc import Mapping
from typing import Any

from tests import matrix

# Suite → the tests that it is made of, and what each of their rows is.
SUITES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "escape suite": (
        "test_escape.py::",
        {"test_agent[": "rows as an agent", "test_merge_request[": "rows as a merge request's test"},
    ),
    "hostile apps": (
        "test_hostile_app.py::",
        {
            "test_build[": "acts of a build",
            "test_release[": "of a release",
            "test_bounds[": "of one that takes too much",
        },
    ),
    "injection fixtures": (
        "test_injection.py::",
        {"that_is_obeyed[": "attacks that an agent obeys", "on_a_whole_factory[": "by the whole command line"},
    ),
    "red team": ("terraform/test_red_team", {"::test_attack": "attacks on plan and apply"}),
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the lines; runs in the process that gathers the reports of all."""
    for suite, (place, parts) in SUITES.items():
        reports = [
            (outcome, report.nodeid)
            for outcome in ("passed", "failed", "error", "skipped")
            for report in terminalreporter.stats.get(outcome, [])
            if place in getattr(report, "nodeid", "")
        ]
        if reports:
            terminalreporter.write_line(f"{suite}: {_told(reports, parts)}")
    if not terminalreporter.config.getoption("every_row"):
        seed = matrix.seed()
        terminalreporter.write_line(f"matrices: rows of seed {seed} (`SEED={seed}` repeats it, `make soak` runs all)")


def _told(reports: list[tuple[str, str]], parts: Mapping[str, str]) -> str:
    held = [name for outcome, name in reports if outcome == "passed"]
    counts = [f"{sum(part in name for name in held)} {what}" for part, what in parts.items()]
    missed = [name.split("::")[-1] for outcome, name in reports if outcome in {"failed", "error"}]
    skipped = sum(outcome == "skipped" for outcome, _ in reports)
    told = f"NOT held: {', '.join(missed)}" if missed else "all held"
    return f"{', '.join(counts)}: {told}" + (f" ({skipped} not tried on this machine)" if skipped else "")
