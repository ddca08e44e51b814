"""What a gate says: passed, failed with findings, or skipped with a reason."""

from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which rule, where, and how to mend it. ``line`` 0 is the whole file."""

    rule: str
    message: str
    mend: str
    path: str = ""
    line: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON value."""
        return {"rule": self.rule, "message": self.message, "mend": self.mend, "path": self.path, "line": self.line}


@dataclass(frozen=True)
class Verdict:
    """One gate's answer; a skipped gate gives its reason, a failed one its findings."""

    gate: str
    result: Result
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON value."""
        return {
            "gate": self.gate,
            "result": self.result,
            "reason": self.reason,
            "findings": [finding.to_json() for finding in self.findings],
        }


def judged(gate: str, findings: list[Finding]) -> Verdict:
    """Return failed with the findings, or passed where there are none."""
    return Verdict(gate, "failed" if findings else "passed", tuple(findings))


def from_json(value: dict[str, Any]) -> Verdict:
    """Return the verdict that ``to_json`` wrote."""
    findings = tuple(Finding(**finding) for finding in value["findings"])
    return Verdict(value["gate"], value["result"], findings, value["reason"])
