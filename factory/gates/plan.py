"""Plan: what Terraform would change is what policy allows (policies/terraform.yml)."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import evaluate
from factory.policies.model import Policies

GATE = "plan"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each resource of an unknown type, each destroy, and a plan that changes too much."""
    plan = facts.plan
    if plan is None or plan.problem:
        return Verdict(GATE, "skipped", reason=plan.problem if plan else "there is no plan")
    return judged(
        GATE,
        [
            Finding(item.rule, item.reason, evaluate.MENDS.get(item.rule, "Ask a person."), "terraform")
            for item in evaluate.plan(policies, plan)
            if not item.allowed
        ],
    )
