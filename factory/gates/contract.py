"""Gate `contract`: the app answers as its OpenAPI contract says."""

from factory.gates.own_checks import with_own
from factory.gates.suite import judge_suite
from factory.model.facts import Facts
from factory.model.verdict import Verdict
from factory.policies.model import Policies

GATE = "contract"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding for each contract test that failed."""
    fix = "Make the app answer as its contract says; the contract is protected."
    return with_own(judge_suite(GATE, facts, policies, fix=fix), facts, policies, fix=fix)
