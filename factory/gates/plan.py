"""Plan: what Terraform would change is what policy allows (policies/terraform.yml)."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "plan"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each resource of an unknown type, each destroy, and a plan that changes too much."""
    plan, rules = facts.plan, policies.terraform
    if plan is None or plan.problem:
        return Verdict(GATE, "skipped", reason=plan.problem if plan else "there is no plan")
    findings = []
    for change in plan.changes:
        if change.type not in rules.types:
            message = f"{change.address}: the resource type {change.type} is not known to policy"
            findings.append(
                Finding("plan.type", message, "A person adds the type to policies/terraform.yml.", "terraform")
            )
        if "delete" in change.actions and not rules.allow_destroy:
            message = f"{change.address} would be destroyed"
            findings.append(Finding("plan.destroy", message, "Change it in place, or ask a person.", "terraform"))
    if len(plan.changes) > rules.max_changes:
        message = f"{len(plan.changes)} resources change; at most {rules.max_changes}"
        findings.append(Finding("plan.size", message, "Split the change.", "terraform"))
    return judged(GATE, findings)
