"""Checks approvals: who gave them, and that they name exactly the change that relied on them.

SLSA v1.2 Source track: an approval applies only to the revision and context that it was given for.
"""

from collections.abc import Iterator

from factory.evidence.facts import Check, Facts, Link, broken, differs, held, judge, latest_by
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import ALONE, Trust
from factory.system import canonical


def forbidden(entry: Entry, trust: Trust) -> list[Check]:
    """Return the findings for an approval by the agent, or a simulated one, whether or not anything relied on it."""
    approver, found = entry.predicate["approver"], []
    if trust.is_agent(approver):
        found.append(broken("EV-APPROVAL-SELF", entry, f"the agent account {approver!r} approved its own work"))
    if entry.predicate["approval_type"] == "simulated" and not trust.simulated_approvals:
        reason = f"simulated approval by {approver!r}: this trust root accepts only approvals by people"
        found.append(broken("EV-APPROVAL-SIMULATED", entry, reason))
    return found


def of_own_change(entry: Entry, facts: Facts) -> list[Check]:
    """Return a finding if the author of a change made by hand approved it as another, or another as its author."""
    predicate = entry.predicate
    if predicate["approval_type"] == "simulated" or facts.trust.separation == ALONE:
        return []
    authors = {str(item.predicate["author"]).casefold() for item in facts.some("proposal")} if facts.by_hand else set()
    own = str(predicate["approver"]).casefold() in authors
    if own == (predicate["approval_type"] == "own"):
        return []
    said = "is the author's, but says" if own else "is not the author's, but says"
    return [broken("EV-APPROVAL-SELF", entry, f"this approval {said} {predicate['approval_type']!r}")]


def notices(facts: Facts) -> Iterator[str]:
    """Yield a notice for each simulated approval, accepted or not, and for each approval of an own change."""
    for entry in facts.some("approval", approval_type="simulated"):
        predicate = entry.predicate
        yield (
            f"simulated approval: statement {entry.index} by {predicate['approver']!r} to {predicate['scope']}"
            f" !{predicate['merge_request']}; no person approved"
        )
    for entry in facts.some("approval", approval_type="own"):
        predicate = entry.predicate
        yield (
            f"own approval: statement {entry.index} by {predicate['approver']!r} to {predicate['scope']}"
            f" !{predicate['merge_request']}, their own change; no second person approved"
        )


def to_merge(facts: Facts) -> Link:
    """Check that an account other than the agent's approved the exact head, policy and plan that were merged.

    With one account for everything (separation "none") nothing is checked; the chain's notices say so.
    """
    if facts.trust.separation == ALONE:
        return Link()

    def faults(entry: Entry) -> list[Check]:
        predicate, found = entry.predicate, forbidden(entry, facts.trust)
        if predicate["head"] != facts.head:
            found.append(differs("EV-APPROVAL-HEAD", entry, "head", predicate["head"], facts.head))
        if facts.verdict is not None and predicate["policy"] != facts.verdict.predicate["policy"]:
            wanted = facts.verdict.predicate["policy"]
            found.append(differs("EV-APPROVAL-POLICY", entry, "policy", predicate["policy"], wanted))
        plan = _plan_before_merge(facts)
        if predicate["plan"] != plan:
            wanted = plan or "none, because no plan was recorded before the merge"
            found.append(differs("EV-APPROVAL-PLAN", entry, "plan", predicate["plan"], wanted))
        if not facts.before_merge(entry):
            found.append(broken("EV-CHAIN-ORDER", entry, "the approval was recorded after the merge"))
        return found

    return judge(
        facts.some("approval", scope="merge"),
        faults,
        relied_upon=facts.merge is not None,
        rule="EV-APPROVAL-MERGE",
        what=f"an approval to merge the head {facts.head}",
    )


def to_deploy(facts: Facts, plan: Entry, apply: Entry | None) -> Link:
    """Check that an account other than the agent's approved this exact plan before ``apply`` (``None``: not applied).

    If policy required no approval of the plan, the check passes and says so.
    """
    if not plan.predicate["approvals"]:
        reason = f"policy requires no approval to deploy to {plan.predicate['stack']}"
        return Link((held("EV-APPROVAL-DEPLOY", plan, reason),) if apply else ())

    if facts.trust.separation == ALONE:
        return Link()

    def faults(entry: Entry) -> list[Check]:
        predicate, found = entry.predicate, forbidden(entry, facts.trust)
        if predicate["plan"] != plan.predicate["plan"]:
            found.append(differs("EV-APPROVAL-PLAN", entry, "plan", predicate["plan"], plan.predicate["plan"]))
        if predicate["head"] not in {facts.head, facts.merge_commit}:
            wanted = f"{facts.head} or its merge {facts.merge_commit}"
            found.append(differs("EV-APPROVAL-HEAD", entry, "head", predicate["head"], wanted))
        if apply is not None and entry.index > apply.index:
            found.append(broken("EV-CHAIN-ORDER", entry, "the approval was recorded after the apply"))
        return found

    return judge(
        facts.some("approval", scope="deploy"),
        faults,
        relied_upon=apply is not None,
        rule="EV-APPROVAL-DEPLOY",
        what=f"an approval to deploy the plan {plan.predicate['plan']}",
    )


def _plan_before_merge(facts: Facts) -> str | None:
    """Return the digest of the head's plans (stack to plan), which an approval to merge names, or ``None``."""
    # After a fast-forward merge the head is also the merge commit; plans recorded after the merge were not approved.
    plans = [plan for plan in facts.some("plan", commit=facts.head) if facts.before_merge(plan)]
    each = {stack: str(plan.predicate["plan"]) for stack, plan in latest_by(plans, "stack").items()}
    return canonical.digest_of(each) if each else None
