"""Renders a gate decision for a terminal, for GitLab's Code Quality widget and for an agent."""

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from factory.model.verdict import Finding, Verdict
from factory.system import canonical

Kind = Literal["finding", "flag", "excused"]

_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "-"}
_MARKS: Mapping[Kind, str] = {"finding": "", "flag": "! ", "excused": "~ "}
_SEVERITIES: Mapping[Kind, str] = {"finding": "major", "flag": "info"}

# An agent fixes a few findings at a time; the rest is in the log.
_BRIEF_FINDINGS = 8
_BRIEF_LINES = 20
_BRIEF_LINE = 300


@dataclass(frozen=True)
class ReportedFinding:
    """A finding in a report: its gate, its kind, and the fingerprint that identifies it in every run."""

    gate: str
    kind: Kind
    finding: Finding
    fingerprint: str


def reported(verdicts: Sequence[Verdict]) -> list[ReportedFinding]:
    """Return every finding, flag and excused finding in order, each with a unique fingerprint.

    A fingerprint covers gate, rule, path and message but not the line, so that it stays the same if the code moves.
    It also has a counter, because GitLab shows equal fingerprints only once (GitLab docs: Code Quality, report format).
    """
    found = []
    seen: Counter[tuple[str, ...]] = Counter()
    for verdict in verdicts:
        for kind, finding in _of(verdict):
            key = (verdict.gate, finding.rule, plain(finding.path), plain(finding.message))
            seen[key] += 1
            fingerprint = canonical.digest_of([*key, seen[key]]).removeprefix("sha256:")
            found.append(ReportedFinding(verdict.gate, kind, finding, fingerprint))
    return found


def lines(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line per gate, followed by its findings, flags (!) and excused findings (~), with their fixes."""
    found = []
    for verdict in verdicts:
        reason = f" ({plain(verdict.reason)})" if verdict.reason else ""
        found.append(f"{_SIGNS[verdict.result]} {verdict.gate:<10} {verdict.result}{reason}")
        for kind, finding in _of(verdict):
            place = f"{where(finding)}  " if finding.path else ""
            found.append(f"    {_MARKS[kind]}{finding.rule}  {place}{plain(finding.message)}")
            if kind != "excused":
                found.append(f"    → {plain(finding.fix)}")
    return found


def brief(verdicts: Sequence[Verdict], logs: Mapping[str, str]) -> list[str]:
    """Return what an agent needs to fix the gates that did not pass.

    ``logs`` maps a gate or job to the file with its whole log. Each gate has at most eight findings (rule, place,
    message, fix), the number of further findings, and its log. The result is empty if all gates passed and ``logs``
    names only gates.
    """
    text = []
    for verdict in verdicts:
        if verdict.result == "passed":
            continue
        reason = f" ({plain(verdict.reason)})" if verdict.reason else ""
        text.append(f"gate {verdict.gate}: {verdict.result}{reason}")
        for finding in verdict.findings[:_BRIEF_FINDINGS]:
            text += _brief(finding)
        left = len(verdict.findings) - _BRIEF_FINDINGS
        if left > 0:
            text.append(f"  and {left} more {'finding' if left == 1 else 'findings'}")
        if verdict.gate in logs:
            text.append(f"  whole log: {plain(logs[verdict.gate])}")
    gates = {verdict.gate for verdict in verdicts}
    return [*text, *(f"log of {plain(name)}: {plain(logs[name])}" for name in sorted(logs) if name not in gates)]


def code_quality(verdicts: Sequence[Verdict]) -> str:
    """Return GitLab's Code Quality report (GitLab docs: Code Quality, report format) without excused findings."""
    return json.dumps([_issue(item) for item in reported(verdicts) if item.kind != "excused"], indent=1)


def where(finding: Finding) -> str:
    """Return ``path:line``, or the path alone if the finding is about the whole file."""
    path = plain(finding.path)
    return f"{path}:{finding.line}" if path and finding.line else path


def plain(text: str) -> str:
    """Return text as one line of visible characters; hidden and invalid characters become U+FFFD.

    Test names may contain control characters, which move a terminal's cursor, and format characters, which reverse the
    direction of text.
    """
    return " ".join(_visible(text).split())


def _visible(text: str) -> str:
    return text.translate(_SHOWN)


class _Shown(dict[int, str]):
    """Caches how each character is shown, because a note may repeat megabytes of text."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        if character.isspace():
            shown = " "
        else:
            hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs"}
            shown = "\N{REPLACEMENT CHARACTER}" if hidden else character
        self[number] = shown
        return shown


_SHOWN = _Shown()


def _of(verdict: Verdict) -> list[tuple[Kind, Finding]]:
    return [
        *(("finding", finding) for finding in verdict.findings),
        *(("flag", finding) for finding in verdict.flags),
        *(("excused", finding) for finding in verdict.excused),
    ]


def _brief(finding: Finding) -> list[str]:
    message = [_visible(line).rstrip()[:_BRIEF_LINE] for line in finding.message.strip().splitlines()] or [""]
    cut = ["…"] if len(message) > _BRIEF_LINES else []
    first, *rest = [*message[:_BRIEF_LINES], *cut]
    return [
        f"  - rule: {finding.rule}",
        *([f"    at: {where(finding)}"] if finding.path else []),
        f"    what: {first}",
        *(f"          {line}" for line in rest),
        f"    fix: {plain(finding.fix)}",
    ]


def _issue(item: ReportedFinding) -> dict[str, object]:
    finding = item.finding
    return {
        "description": plain(f"{finding.message} — {finding.fix}"),
        "check_name": finding.rule,
        "fingerprint": item.fingerprint,
        "severity": _SEVERITIES[item.kind],
        "location": {"path": finding.path.removeprefix("./") or ".", "lines": {"begin": max(1, finding.line)}},
    }
