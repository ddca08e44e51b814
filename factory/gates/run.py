"""Runs the gates that policy names, over facts alone: equal facts and policies give equal bytes."""

from dataclasses import dataclass
from typing import Any, Literal

from factory.errors import InvalidInput
from factory.gates import GATES
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies
from factory.system import canonical


@dataclass(frozen=True)
class Decision:
    """The verdicts of a run, the policies they follow, and what was judged."""

    verdicts: tuple[Verdict, ...]
    required: frozenset[str]
    policy: str
    judge_sha: str
    head: str

    @property
    def passed(self) -> bool:
        """Tell whether every required gate passed; a skipped required gate blocks, and so does no gate at all."""
        needed = [verdict for verdict in self.verdicts if verdict.gate in self.required]
        return bool(needed) and all(verdict.result == "passed" for verdict in needed)

    def to_json(self) -> dict[str, Any]:
        """Return the decision as a JSON value."""
        return {
            "result": "passed" if self.passed else "failed",
            "head": self.head,
            "judge_sha": self.judge_sha,
            "policy": self.policy,
            "required": sorted(self.required),
            "gates": [verdict.to_json() for verdict in self.verdicts],
        }

    def encode(self) -> bytes:
        """Return the decision's canonical bytes."""
        return canonical.encode(self.to_json())


def decide(facts: Facts, policies: Policies, *, where: Literal["local", "pipeline"], judge_sha: str) -> Decision:
    """Judge the facts by every gate of policy; in the pipeline all gates run, locally only the local ones.

    Raises ``InvalidInput`` where policy names a gate that does not exist.
    """
    verdicts = []
    required = set()
    for name, gate in policies.gates.gates.items():
        if name not in GATES:
            raise InvalidInput(f"policies/gates.yml: gates.{name}: there is no such gate; there are {', '.join(GATES)}")
        if where == "local" and gate.where != "local":
            continue
        verdicts.append(GATES[name](facts, policies))
        if gate.required:
            required.add(name)
    head = facts.change.head if facts.change else ""
    return Decision(tuple(verdicts), frozenset(required), policies.digest, judge_sha, head)
