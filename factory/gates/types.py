"""Gate `types`: the type checker finds no error in the sources of the changed apps."""

import re

from factory.gates.own_checks import with_own
from factory.gates.tool import for_agents, judge_tool
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict
from factory.policies.model import Policies

GATE = "types"
_FIX = "Make the types match the code; do not widen them."
_ANY = re.compile(r"(?::|->)\s*(?:typing\.)?Any\b(?!\s*\()|\bcast\(\s*[\"']?(?:typing\.)?Any\b")


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each type error, and for each ``Any`` that an agent adds."""
    verdict = with_own(judge_tool(GATE, facts.types, fix=_FIX), facts, policies, fix=_FIX)
    widened = [
        Finding("types.any", "the type Any disables type checking", _FIX, file.path, number)
        for file in (facts.change.files if facts.change else ())
        if policies.apps.paths.is_code(file.path)
        for number, line in file.lines
        if _ANY.search(line)
    ]
    return for_agents(verdict, policies, facts.change, widened)
