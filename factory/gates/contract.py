"""Contract tests: what the app answers is what its OpenAPI contract promises."""

from factory.gates.suite import judge_suite
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "contract"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each promise that is not kept."""
    del policies
    return judge_suite(GATE, facts, fix="Make the app answer as openapi.yml says; the contract itself is protected.")
