"""Types: the sources of the apps that a change touches are typed, and hold."""

from factory.gates.tool import judge_tool
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "types"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each error of the type checker."""
    del policies
    return judge_tool(GATE, facts.types, mend="Make the types say what the code does; do not widen them.")
