"""Gate `up_to_date`: the change contains every commit of the target branch."""

from factory.model.facts import Facts
from factory.model.verdict import Finding, Verdict, judged
from factory.policies.model import Policies

GATE = "up_to_date"


def judge(facts: Facts, policies: Policies) -> Verdict:
    """Return a finding if the target branch has commits that the change lacks."""
    del policies
    if facts.change is None:
        return Verdict(GATE, "skipped", reason="the change is unknown")
    behind = facts.change.behind
    message = f"the target branch is {behind} commits ahead"
    return judged(GATE, [Finding("up_to_date.behind", message, "Rebase onto the target branch.")] if behind else [])
