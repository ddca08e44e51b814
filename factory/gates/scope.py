"""Scope: an agent changes only what policy allows, and no more than it allows (policies/scope.yml)."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "scope"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each path and size that policy denies; what a person pushed is flagged, not denied."""
    change = facts.change
    if change is None:
        return Verdict(GATE, "skipped", reason="the change is not known")
    bound = evaluate.bound(policies, change)
    rulings = evaluate.change(policies, change)
    denied = [
        Finding(item.rule, item.reason, evaluate.MENDS.get(item.rule, "Ask a person."), str(item.facts.get("path", "")))
        for item in rulings
        if not item.allowed
    ]
    denied += [
        Finding("scope.binary", f"{file.path} is binary: nobody can read it", "Add its source instead.", file.path)
        for file in change.files
        if file.binary and file.status not in "DS"
    ]
    if bound is not None or not change.files:
        return judged(GATE, denied)
    return Verdict(GATE, "passed", reason=f"pushed by {change.author}, who is no agent", flags=tuple(denied))
