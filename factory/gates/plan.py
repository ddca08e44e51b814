"""Plan: what Terraform would change is what policy allows (policies/terraform.yml)."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "plan"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each resource of an unknown type, each destroy, and a plan that changes too much."""
    plan = facts.plan
    if plan is None:
        return Verdict(GATE, "skipped", reason="there is no plan")
    findings = [
        Finding(item.rule, item.reason, evaluate.MENDS.get(item.rule, "Ask a person."), "terraform")
        for item in evaluate.plan(policies, plan)
        if not item.allowed
    ]
    if not plan.problem and plan.stack != policies.terraform.stack:
        message = f"the plan is of the stack {plan.stack!r}, not of {policies.terraform.stack!r}"
        findings.append(Finding("plan.stack", message, "Plan the stack that policy names.", "terraform"))
    if plan.commit and facts.change is not None and plan.commit != facts.change.head:
        message = f"the plan is of the commit {plan.commit[:12]}, not of {facts.change.head[:12]}"
        findings.append(Finding("plan.stale", message, "Plan the commit that is judged.", "terraform"))
    return judged(GATE, findings)
