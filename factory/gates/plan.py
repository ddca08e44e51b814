"""Gate `plan`: the Terraform plans change only what policies/terraform.yml allows."""

from collections.abc import Iterator

from factory.model.facts import Facts, Plan
from factory.model.verdict import Finding, Verdict, judged
from factory.policies import plans
from factory.policies.model import Policies
from factory.policies.rules import fix

GATE = "plan"
_ROOT = "terraform/live/{}/"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each denied part of a plan, and for each changed stack without a plan."""
    if facts.plans is None:
        return Verdict(GATE, "skipped", reason="the pipeline has no plan")
    found = [finding for plan in facts.plans for finding in _judge_one(facts, policies, plan)]
    found += _unplanned(facts, policies)
    return judged(GATE, found)


def _judge_one(facts: Facts, policies: Policies, plan: Plan) -> Iterator[Finding]:
    for item in plans.judge(policies, plan, today=facts.date):
        if not item.allowed:
            yield Finding(item.rule, f"{plan.stack}: {item.reason}", fix(item.rule), "terraform")
    if not plan.problem and plan.stack not in policies.terraform.stacks:
        yield _finding(
            "plan.stack",
            f"policy does not list the stack {plan.stack!r}",
            "Ask a person to add it to policies/terraform.yml.",
        )
    if plan.commit and facts.change is not None and plan.commit != facts.change.head:
        message = f"the plan of {plan.stack} is for the commit {plan.commit[:12]}, not for {facts.change.head[:12]}"
        yield _finding("plan.stale", message, "Run the plan for the judged commit.")


def _unplanned(facts: Facts, policies: Policies) -> Iterator[Finding]:
    planned = {plan.stack for plan in facts.plans or ()}
    paths = [file.path for file in facts.change.files] if facts.change else []
    for stack in policies.terraform.stacks:
        if stack not in planned and any(path.startswith(_ROOT.format(stack)) for path in paths):
            yield _finding("plan.missing", f"{stack} changed but has no plan", "Plan every stack that changes.")


def _finding(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, message, fix, "terraform")
