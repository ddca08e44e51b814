"""Lint: the sources of apps hold to the rules of policies/gates.yml, and silence none of them."""

from factory.gates.tool import for_agents, judge_tool, suppressions
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "lint"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each broken rule, and for each comment that an agent adds to silence a tool."""
    verdict = judge_tool(GATE, facts.lint, fix="Mend the line; `ruff rule <code>` explains it.")
    return for_agents(verdict, policies, facts.change, suppressions(GATE, facts.change))
