"""Gate `lint`: the apps' sources follow the lint rules of policies/gates.yml and silence none of them."""

from factory.gates.own_checks import with_own
from factory.gates.tool import for_agents, judge_tool, suppressions
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "lint"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each violated rule, and for each comment with which an agent silences a tool."""
    verdict = with_own(
        judge_tool(GATE, facts.lint, fix="Fix the line; `ruff rule <code>` explains the rule."),
        facts,
        policies,
        fix="Fix the line, or what the command says.",
    )
    return for_agents(verdict, policies, facts.change, suppressions(GATE, facts.change, policies.apps.paths))
