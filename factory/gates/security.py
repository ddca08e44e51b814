"""Gate `security`: static analysis finds no dangerous code in a change."""

import re

from factory.gates.own_checks import with_own
from factory.gates.tool import for_agents, judge_tool
from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict
from factory.policies.model import Policies

GATE = "security"
_LOADS = re.compile(r"\b(?:runpy|SourceFileLoader|spec_from_file_location|exec_module|importlib\.util|zipimport)\b")


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each problem, and for each line with which an agent's source loads code from files."""
    verdict = with_own(
        judge_tool(GATE, facts.security, fix="Use a safe alternative; `ruff rule <code>` names one."),
        facts,
        policies,
        fix="Use a safe alternative.",
    )
    loads = [
        Finding(
            "security.loads",
            f"{found.group()} runs code that no tool checks",
            "Use an import statement.",
            file.path,
            number,
        )
        for file in (facts.change.files if facts.change else ())
        if policies.apps.paths.is_code(file.path)
        for number, line in file.lines
        if (found := _LOADS.search(line))
    ]
    return for_agents(verdict, policies, facts.change, loads)
