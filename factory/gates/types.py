"""Types: the sources of the apps that a change touches are typed, and hold."""

import re

from factory.gates.tool import for_agents, judge_tool
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict
from factory.policies.model import Policies

GATE = "types"
_MEND = "Make the types say what the code does; do not widen them."
_ANY = re.compile(r"(?::|->)\s*(?:typing\.)?Any\b(?!\s*\()|\bcast\(\s*[\"']?(?:typing\.)?Any\b")


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each error of the type checker, and for each value that an agent calls ``Any``."""
    verdict = judge_tool(GATE, facts.types, fix=_MEND)
    widened = [
        Finding("types.any", "a value is called Any, which says nothing", _MEND, file.path, number)
        for file in (facts.change.files if facts.change else ())
        if file.path.startswith("apps/") and "/src/" in file.path
        for number, line in file.lines
        if _ANY.search(line)
    ]
    return for_agents(verdict, policies, facts.change, widened)
