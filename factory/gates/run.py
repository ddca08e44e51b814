"""Runs the gates that policy names; equal facts and policies give equal bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from factory.errors import InvalidInput
from factory.gates import GATES
from factory.gates.unit import case_name
from factory.model.facts import Facts
from factory.model.verdict import (
    Finding,
    GateReport,
    ProvenRequirement,
    RequiredApprovals,
    TestOutcome,
    Verdict,
    judged,
)
from factory.policies import evaluate
from factory.policies.model import Policies
from factory.system import canonical

EXCEPTIONS = "exceptions"
# These gates hold in every mode: what they judge reaches what runs.
_ALWAYS = {EXCEPTIONS, "plan", "evidence"}


@dataclass(frozen=True)
class Decision:
    """The verdicts of a run, the policies' digest, the judged commit, and the approvals that a merge needs.

    ``observed`` are the gates that must pass as soon as policy enforces them; ``None`` if it does.
    """

    verdicts: tuple[Verdict, ...]
    required: frozenset[str]
    policy: str
    judge_sha: str
    head: str
    requirements: tuple[ProvenRequirement, ...] = ()
    needed: RequiredApprovals | None = None
    observed: frozenset[str] | None = None

    @property
    def passed(self) -> bool:
        """Whether every required gate passed; a skipped required gate, or no required gate at all, means no."""
        needed = [verdict for verdict in self.verdicts if verdict.gate in self.required]
        return bool(needed) and all(verdict.result == "passed" for verdict in needed)

    @property
    def report(self) -> GateReport:
        """The decision as the file ``verdict.json`` has it."""
        report = GateReport(
            "passed" if self.passed else "failed",
            self.head,
            self.judge_sha,
            self.policy,
            tuple(sorted(self.required)),
            self.verdicts,
            self.requirements,
            sum(len(verdict.excused) for verdict in self.verdicts),
            self.needed,
            None if self.observed is None else tuple(sorted(self.observed)),
        )
        value = {name: field for name, field in _written(report).items() if name != "digest"}
        return replace(report, digest=canonical.digest_of(value))

    def encode(self) -> bytes:
        """Return the canonical bytes of the report."""
        return canonical.encode(_written(self.report))


def _written(report: GateReport) -> dict[str, object]:
    """Return the report as its file has it: without ``observed`` if policy enforces the gates."""
    return {name: field for name, field in asdict(report).items() if name != "observed" or field is not None}


def decide(facts: Facts, policies: Policies, *, where: Literal["local", "pipeline"], judge_sha: str) -> Decision:
    """Judge the facts by the gates that policy names: in the pipeline by all of them, locally by the local ones.

    The mode `observe` is of the pipeline alone: locally, every required gate must pass. Raises ``InvalidInput`` if
    policy names a gate that does not exist.
    """
    verdicts = []
    required = {EXCEPTIONS}
    for name, gate in policies.gates.gates.items():
        if name not in GATES:
            raise InvalidInput(f"policies/gates.yml: gates.{name}: no such gate; use one of {', '.join(GATES)}")
        if where == "local" and gate.where != "local":
            continue
        verdicts.append(GATES[name](facts, policies))
        if gate.required:
            required.add(name)
    judged_all = _excused(verdicts, policies, facts.date)
    if len(required) == 1:
        required.clear()
    observed = None
    if where == "pipeline" and policies.gates.mode == "observe":
        observed = frozenset(required - _ALWAYS)
        required -= observed
    return Decision(
        judged_all,
        frozenset(required),
        policies.digest,
        judge_sha,
        facts.change.head if facts.change else "",
        requirements(facts),
        evaluate.needed(policies, facts.change, facts.plans or ()),
        observed,
    )


def requirements(facts: Facts) -> tuple[ProvenRequirement, ...]:
    """Return each requirement of the change's spec with the tests that cite it and their outcomes."""
    outcomes: dict[str, str] = {}
    for _, run in facts.tests:
        for case in run.cases:
            name = case.name.split("[", 1)[0]
            outcomes[name] = _worse(outcomes.get(name, "success"), case.outcome)
    found = []
    for requirement, digest in facts.spec.requirements if facts.spec else ():
        names = [case_name(test) for test in facts.after or () if requirement in test.requirements]
        tests = tuple(TestOutcome(name, outcomes.get(name, "not run")) for name in names)
        tests += tuple(TestOutcome(case.name, case.outcome) for case in facts.own_cases() if case.cites(requirement))
        found.append(ProvenRequirement(requirement, digest, _proof(tests), tests))
    return tuple(found)


def _proof(tests: Sequence[TestOutcome]) -> str:
    if not tests:
        return "untested"
    return "passed" if all(test.outcome == "success" for test in tests) else "failed"


def _worse(one: str, other: str) -> str:
    order = ("success", "skipped", "error", "failed")
    return max(one, other, key=lambda name: order.index(name) if name in order else 0)


def _excused(verdicts: Iterable[Verdict], policies: Policies, today: str) -> tuple[Verdict, ...]:
    """Move accepted findings to ``excused``; an expired exception is a finding of its own."""
    found = []
    wrong: dict[Finding, None] = {}
    for verdict in verdicts:
        parted = evaluate.excuse(verdict.findings, policies.exceptions, today=today)
        wrong |= dict.fromkeys(parted.expired)
        result = "passed" if parted.excused and not parted.kept else verdict.result
        found.append(replace(verdict, result=result, findings=parted.kept, excused=parted.excused))
    if policies.exceptions.exceptions:
        found.append(judged(EXCEPTIONS, list(wrong)))
    else:
        found.append(Verdict(EXCEPTIONS, "passed", reason="policy has no exceptions"))
    return tuple(found)
