"""The verdict of a gate: passed, failed with findings, or skipped with a reason."""

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class TestOutcome:
    """A test that cites a requirement, and its outcome in this run; ``not run`` if no report has it."""

    __test__ = False

    name: str
    outcome: str


@dataclass(frozen=True)
class ProvenRequirement:
    """One requirement of the spec and the tests that cite it.

    ``result`` is ``untested`` if no test cites it, ``passed`` if all such tests passed, else ``failed``.
    """

    id: str
    digest: str
    result: str
    tests: tuple[TestOutcome, ...]


@dataclass(frozen=True)
class AppliedRisk:
    """A risk that applies: how many must approve, the question to them, and the paths or actions that triggered it."""

    name: str
    required: int
    decide: str
    because: tuple[str, ...]


@dataclass(frozen=True)
class RequiredApprovals:
    """How many approvals a merge needs, the risks that apply, and whether the change affects the judge."""

    approvals: int
    risks: tuple[AppliedRisk, ...]
    policy: str
    judge_changed: bool = False


@dataclass(frozen=True)
class GateReport:
    """What the gates decided on the commit ``head``: the content of the file ``verdict.json``.

    ``judge_sha`` is the commit whose code and policies judged, ``policy`` the policies' digest. ``required`` are the
    gates that must pass, ``excused`` counts the findings that exceptions accept. ``observed`` are the gates that would
    be required if policy enforced them; ``None`` if it does. ``digest`` covers all other fields.
    """

    result: Result
    head: str
    judge_sha: str
    policy: str
    required: tuple[str, ...]
    gates: tuple[Verdict, ...]
    requirements: tuple[ProvenRequirement, ...]
    excused: int
    needed: RequiredApprovals | None
    observed: tuple[str, ...] | None = None
    digest: str = ""

    @property
    def would_block(self) -> tuple[str, ...]:
        """The observed gates that did not pass."""
        results = {verdict.gate: verdict.result for verdict in self.gates}
        return tuple(gate for gate in self.observed or () if results.get(gate) != "passed")


def judged(gate: str, findings: list[Finding], *, flags: tuple[Finding, ...] = ()) -> Verdict:
    """Return a failed verdict with the findings, or a passed verdict without findings."""
    return Verdict(gate, "failed" if findings else "passed", tuple(findings), flags=flags)
