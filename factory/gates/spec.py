"""Spec: the change names a spec that is decided."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "spec"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding where the named spec is missing or not decided."""
    del policies
    spec = facts.spec
    if spec is None:
        return Verdict(GATE, "skipped", reason="the spec was not looked up")
    if spec.problem:
        return judged(
            GATE, [Finding("spec.missing", spec.problem, "Name a spec of specs/ with a trailer `Spec: <id>`.")]
        )
    if spec.status != "decided":
        message = f"spec {spec.id} is {spec.status}"
        return judged(GATE, [Finding("spec.undecided", message, "Work starts once its status is `decided`.")])
    return judged(GATE, [])
