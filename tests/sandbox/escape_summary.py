"""The last line of a run that held the escape suite: how many tricks were tried, and whether all were held."""

from typing import Any

SUITES = {"test_agent[": "as an agent", "test_merge_request[": "as a merge request's test"}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the line; runs in the process that gathers the reports of all."""
    reports = [
        (outcome, report.nodeid)
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, [])
        if "test_escape.py::" in getattr(report, "nodeid", "")
    ]
    if not reports or hasattr(terminalreporter, "told_of_escapes"):
        return
    terminalreporter.told_of_escapes = True
    held = [name for outcome, name in reports if outcome == "passed"]
    counts = [f"{sum(part in name for name in held)} rows {how}" for part, how in SUITES.items()]
    open_rows = [name.split("::")[-1] for outcome, name in reports if outcome in {"failed", "error"}]
    skipped = sum(outcome == "skipped" for outcome, _ in reports)
    told = f"NOT held: {', '.join(open_rows)}" if open_rows else "all held"
    unknown = f" ({skipped} not tried on this machine)" if skipped else ""
    terminalreporter.write_line(f"escape suite: {', '.join(counts)}: {told}{unknown}")
