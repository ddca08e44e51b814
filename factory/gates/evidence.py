"""Gate `evidence`: an agent's change has a recorded claim and attempt."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "evidence"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each statement that the evidence branch lacks; a person's change needs none."""
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is unknown")
    if evaluate.bound(policies, facts.change) is None:
        return Verdict(GATE, "passed", reason=f"opened by {facts.change.origin.author}; no agent pushed to it")
    found = facts.recorded
    if found is None or found.problem:
        return Verdict(GATE, "skipped", reason=found.problem if found else "the evidence was not read")
    fix = "Deliver the change through `factory work`, which records it."
    return judged(
        GATE,
        [
            Finding(f"evidence.{name}", f"the evidence branch has no {name} of this change", fix)
            for name, recorded in (("claim", found.claim), ("attempt", found.attempt))
            if not recorded
        ],
    )
