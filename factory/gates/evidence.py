"""Evidence: an agent's change carries a recorded claim and attempt."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "evidence"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return findings for what the evidence branch lacks of the change; a person's change needs none."""
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    if evaluate.bound(policies, facts.change) is None:
        return Verdict(GATE, "passed", reason=f"pushed by {facts.change.author}, who is no agent")
    found = facts.recorded
    if found is None or found.problem:
        return Verdict(GATE, "skipped", reason=found.problem if found else "the evidence was not read")
    fix = "Deliver the change through `factory work`, which records it."
    return judged(
        GATE,
        [
            Finding(f"evidence.{name}", f"no {name} of this change is recorded", fix)
            for name, there in (("claim", found.claim), ("attempt", found.attempt))
            if not there
        ],
    )
