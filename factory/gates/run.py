"""Runs the gates that policy names; equal facts and policies give equal bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from factory.errors import InvalidInput
from factory.gates import GATES
from factory.gates.unit import case_name
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies
from factory.system import canonical

EXCEPTIONS = "exceptions"


@dataclass(frozen=True)
class Proof:
    """One requirement of the spec, and the tests that cite it, each with its outcome in this run."""

    requirement: str
    digest: str
    tests: tuple[tuple[str, str], ...]

    @property
    def result(self) -> str:
        """``untested`` if no test cites the requirement, ``passed`` if all such tests passed, else ``failed``."""
        if not self.tests:
            return "untested"
        return "passed" if all(outcome == "success" for _, outcome in self.tests) else "failed"

    def to_json(self) -> dict[str, Any]:
        """Return the proof as a JSON value."""
        tests = [{"name": name, "outcome": outcome} for name, outcome in self.tests]
        return {"id": self.requirement, "digest": self.digest, "result": self.result, "tests": tests}


@dataclass(frozen=True)
class Decision:
    """The verdicts of a run, the policies' digest, the judged commit, and the approvals that a merge needs."""

    verdicts: tuple[Verdict, ...]
    required: frozenset[str]
    policy: str
    judge_sha: str
    head: str
    proofs: tuple[Proof, ...] = ()
    needed: evaluate.RequiredApprovals | None = None

    @property
    def passed(self) -> bool:
        """Whether every required gate passed; a skipped required gate, or no required gate at all, means no."""
        needed = [verdict for verdict in self.verdicts if verdict.gate in self.required]
        return bool(needed) and all(verdict.result == "passed" for verdict in needed)

    def to_json(self) -> dict[str, Any]:
        """Return the decision as a JSON value; ``digest`` covers all other fields."""
        value = {
            "result": "passed" if self.passed else "failed",
            "head": self.head,
            "judge_sha": self.judge_sha,
            "policy": self.policy,
            "required": sorted(self.required),
            "gates": [verdict.to_json() for verdict in self.verdicts],
            "requirements": [proof.to_json() for proof in self.proofs],
            "excused": sum(len(verdict.excused) for verdict in self.verdicts),
            "needed": self.needed.to_json() if self.needed else None,
        }
        return {**value, "digest": canonical.digest_of(value)}

    def encode(self) -> bytes:
        """Return the decision's canonical bytes."""
        return canonical.encode(self.to_json())


def decide(facts: Facts, policies: Policies, *, where: Literal["local", "pipeline"], judge_sha: str) -> Decision:
    """Judge the facts by the gates that policy names: in the pipeline by all of them, locally by the local ones.

    Raises ``InvalidInput`` if policy names a gate that does not exist.
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
    return Decision(
        judged_all,
        frozenset(required),
        policies.digest,
        judge_sha,
        facts.change.head if facts.change else "",
        proofs(facts),
        evaluate.needed(policies, facts.change, facts.plans or ()),
    )


def proofs(facts: Facts) -> tuple[Proof, ...]:
    """Return each requirement of the change's spec with the tests that cite it and their outcomes."""
    outcomes: dict[str, str] = {}
    for _, run in facts.tests:
        for case in run.cases:
            name = case.name.split("[", 1)[0]
            outcomes[name] = _worse(outcomes.get(name, "success"), case.outcome)
    return tuple(
        Proof(
            requirement,
            digest,
            tuple(
                (case_name(test), outcomes.get(case_name(test), "not run"))
                for test in facts.after or ()
                if requirement in test.requirements
            ),
        )
        for requirement, digest in (facts.spec.requirements if facts.spec else ())
    )


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
