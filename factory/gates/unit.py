"""Unit tests: they ran, and all passed. What a merge request's own tests say is its claim."""

from factory.gates.suite import judge_suite
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "unit"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each test that did not pass."""
    del policies
    return judge_suite(GATE, facts, mend="Mend the code, or the test where the spec says otherwise.")
