"""The verdict of a gate: passed, failed with findings, or skipped with a reason."""

from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Rule:
    """A named rule: what it finds or denies, and how to fix that."""

    finds: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """One violation: its rule, its place, and how to fix it. ``line`` 0 is the whole file."""

    rule: str
    message: str
    fix: str
    path: str = ""
    line: int = 0

    @property
    def subject(self) -> str:
        """Return the text by which an exception names the finding: its path, else its message."""
        return self.path or self.message

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON value."""
        return {"rule": self.rule, "message": self.message, "fix": self.fix, "path": self.path, "line": self.line}


@dataclass(frozen=True)
class Verdict:
    """One gate's verdict; a skipped gate has a reason, a failed gate has findings.

    ``flags`` are findings that a person must check although the gate passes; ``excused`` are the findings that an
    exception accepts.
    """

    gate: str
    result: Result
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    flags: tuple[Finding, ...] = ()
    excused: tuple[Finding, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON value."""
        return {
            "gate": self.gate,
            "result": self.result,
            "reason": self.reason,
            "findings": [finding.to_json() for finding in self.findings],
            "flags": [finding.to_json() for finding in self.flags],
            "excused": [finding.to_json() for finding in self.excused],
        }


def judged(gate: str, findings: list[Finding], *, flags: tuple[Finding, ...] = ()) -> Verdict:
    """Return a failed verdict with the findings, or a passed verdict without findings."""
    return Verdict(gate, "failed" if findings else "passed", tuple(findings), flags=flags)


def from_json(value: dict[str, Any]) -> Verdict:
    """Return the verdict that ``to_json`` wrote."""
    lists = {name: tuple(Finding(**item) for item in value[name]) for name in ("findings", "flags", "excused")}
    return Verdict(value["gate"], value["result"], reason=value["reason"], **lists)
