"""Security: static analysis finds nothing dangerous in what a change contains."""

from factory.gates.tool import judge_tool
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "security"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each problem of the analysis."""
    del policies
    return judge_tool(GATE, facts.security, mend="Use the safe way; `ruff rule <code>` names it.")
