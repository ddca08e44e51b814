"""A gate decision as text: for a terminal, for GitLab's Code Quality widget, for an agent."""

import json
from collections.abc import Sequence
from typing import Any

from factory.model.verdict import Finding, Verdict
from factory.system import canonical

_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "-"}


def lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return one line per gate, and below it one per finding with how to mend it."""
    found = []
    for verdict in verdicts:
        reason = f" ({verdict.reason})" if verdict.reason else ""
        found.append(f"{_SIGNS[verdict.result]} {verdict.gate:<10} {verdict.result}{reason}")
        for finding in verdict.findings:
            found.append(f"    {finding.rule}  {_place(finding)}{finding.message}")
            found.append(f"    → {finding.mend}")
    return found


def code_quality(verdicts: Sequence[Verdict]) -> str:
    """Return GitLab's Code Quality report (docs: Code Quality, report format)."""
    return json.dumps([_issue(verdict, finding) for verdict in verdicts for finding in verdict.findings], indent=1)


def _issue(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    return {
        "description": f"{finding.message} — {finding.mend}",
        "check_name": finding.rule,
        "fingerprint": canonical.digest_of([verdict.gate, finding.to_json()]).removeprefix("sha256:"),
        "severity": "major",
        "location": {"path": finding.path or ".", "lines": {"begin": max(1, finding.line)}},
    }


def _place(finding: Finding) -> str:
    if not finding.path:
        return ""
    return f"{finding.path}:{finding.line}  " if finding.line else f"{finding.path}  "
