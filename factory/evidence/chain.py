"""Checks the chain of statements of one merge request: their order, and the digests that each must name.

The entries must have valid signatures and forms. An absent link is *missing* until a later link exists; from then on it
is a finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from factory.evidence import approvals
from factory.evidence.facts import Check, Facts, Link, absent, broken, differs, gather, held, last, latest_by, work
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import ALONE, APART, SHARED, Trust


@dataclass(frozen=True)
class Chain:
    """The checks, missing links (each with the rule that asks for it) and notices of one merge request."""

    checks: tuple[Check, ...]
    missing: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]


def follow(entries: Sequence[Entry], *, merge_request: int, trust: Trust) -> Chain:
    """Return the checks of the chain from claim to deploy, the missing links, and notices for the reader."""
    facts = gather(entries, merge_request, trust)
    if facts is None:
        return Chain((), (("EV-CHAIN-CLAIM", f"any statement about !{merge_request}"),), ())
    links = [*(link(facts) for link in _LINKS), *_stages(facts)]
    reached = max((position for position, link in enumerate(links) if link.checks), default=-1)
    checks, missing = _rules_of_all(facts), list[tuple[str, str]]()
    for position, link in enumerate(links):
        checks += link.checks
        if position < reached:
            checks += [broken(rule, None, f"missing: {what}") for rule, what in link.missing]
        else:
            missing += link.missing
    notices = [*_separation(facts), *approvals.notices(facts), *_unattempted_head(facts), *_returns(facts)]
    notices += _proofs(facts)
    # A fault of an approval is found twice if a merge or an apply relied on the approval.
    return Chain(tuple(dict.fromkeys(checks)), tuple(missing), tuple(notices))


def _rules_of_all(facts: Facts) -> list[Check]:
    first = facts.own[0]
    found = [
        differs("EV-CHAIN-ISSUE", entry, "issue", work(entry), work(first))
        for entry in facts.own
        if work(entry) != work(first)
    ]
    for entry in facts.some("approval"):
        found += approvals.forbidden(entry, facts.trust)
        found += approvals.of_own_change(entry, facts)
    return found


def _unattempted_head(facts: Facts) -> list[str]:
    attempts = facts.some("attempt")
    if facts.merge is None or not attempts or facts.some("attempt", head=facts.head):
        return []
    return [f"no recorded attempt produced the merged head {facts.head}: another commit was added to the branch"]


def _separation(facts: Facts) -> list[str]:
    """Return notices about checks that are skipped because roles share an account."""
    account = ", ".join(facts.trust.agent_accounts)
    if facts.trust.separation == SHARED:
        effect = "that no agent merged is not checked"
        return [f"separation: two accounts: {account!r} is the factory's and its agent's account; {effect}"]
    if facts.trust.separation == ALONE:
        effect = "that the approver is not the author, and that no agent merged or deployed, is not checked"
        return [f"separation: none: {account!r} is a person's, the factory's and its agent's account; {effect}"]
    return []


def _returns(facts: Facts) -> list[str]:
    found = []
    for entry in facts.some("return"):
        where, releases = entry.predicate["environment"], entry.predicate["releases"]
        result = entry.predicate["result"]
        outcome = f"returned to {', '.join(releases)}" if releases else f"could not be returned ({result})"
        found.append(f"the check of {where} failed; its traffic {outcome}")
    return found


def _claim(facts: Facts) -> Link:
    claims = facts.some("claim")
    if facts.by_hand:
        return _proposal(facts)
    if not claims:
        return absent("EV-CHAIN-CLAIM", f"a claim of {work(facts.own[0])}")
    return Link(tuple(held("EV-CHAIN-CLAIM", entry, f"session {entry.predicate['session']}") for entry in claims))


def _proposal(facts: Facts) -> Link:
    """Check that a person, and no agent, opened a merge request that no session made, and pushed its head."""
    entry = last([item for item in facts.some("proposal", head=facts.head) if facts.before_merge(item)])
    rule = "EV-CHAIN-CLAIM"
    if entry is None:
        return absent(rule, f"the proposal of the head {facts.head}", facts.some("proposal"), "head")
    author, pushers = entry.predicate["author"], entry.predicate["pushers"]
    agents = [name for name in (author, *pushers) if facts.trust.is_agent(name)]
    if agents and facts.trust.separation != ALONE:
        return Link((broken(rule, entry, f"no claim records the work of the agent account {agents[0]!r}"),))
    if not pushers:
        return Link((broken(rule, entry, f"who pushed the head {facts.head} is not known"),))
    return Link((held(rule, entry, f"{author}'s own change, without claim and attempt"),))


def _attempt(facts: Facts) -> Link:
    if facts.by_hand:
        return Link()
    sessions = {entry.predicate["session"] for entry in facts.some("claim")}
    attempts = [entry for entry in facts.some("attempt") if entry.predicate["session"] in sessions]
    if not attempts:
        what = "an attempt of a session that claimed the issue"
        return absent("EV-CHAIN-ATTEMPT", what, facts.some("attempt"), "session")
    return Link(tuple(held("EV-CHAIN-ATTEMPT", entry, f"ended as {entry.predicate['reason']}") for entry in attempts))


def _verdict(facts: Facts) -> Link:
    rule, entry = "EV-CHAIN-VERDICT", facts.verdict
    if entry is not None and entry.predicate["result"] == "passed":
        return Link((held(rule, entry, f"passed for {facts.head}"),))
    if entry is not None and facts.merge is not None:
        return Link((broken(rule, entry, f"the verdict for the merged head {facts.head} has the result failed"),))
    what = f"a passed verdict for the head {facts.head}, recorded before its merge"
    return absent(rule, what, facts.some("verdict"), "head", "result")


def _merge(facts: Facts) -> Link:
    rule, entry = "EV-CHAIN-MERGE", facts.merge
    if entry is None:
        return absent(rule, f"the merge of the head {facts.head}")
    checks = [held(rule, entry, f"{facts.head} merged as {facts.merge_commit}")]
    if len(facts.some("merge")) > 1:
        checks.append(broken(rule, entry, "the merge request was merged more than once"))
    if facts.trust.separation == APART and facts.trust.is_agent(entry.predicate["merged_by"]):
        checks.append(broken(rule, entry, "the agent account merged its own work"))
    return Link(tuple(checks))


def _plan(facts: Facts) -> Link:
    rule, plans = "EV-CHAIN-PLAN", latest_by(facts.some("plan", commit=facts.merge_commit), "stack")
    if not plans and facts.unchanged is not None:
        return Link((held(rule, facts.unchanged, f"{facts.merge_commit} changes no stack, so nothing is deployed"),))
    if not plans:
        what = f"a plan for the merge commit {facts.merge_commit or '(not merged yet)'}"
        return absent(rule, what, facts.some("plan"), "commit")
    return Link(tuple(held(rule, plan, f"{plan.predicate['plan']} of stack {stack}") for stack, plan in plans.items()))


def _stages(facts: Facts) -> list[Link]:
    """Return the links of the apply and the deploy of each planned stack.

    Stacks that need no approval come first, because a change reaches the other stacks only after them.
    """
    plans = latest_by(facts.some("plan", commit=facts.merge_commit), "stack").values()
    if not plans and facts.unchanged is not None:
        return [_beside(facts, [])]
    if not plans:
        approval = ("EV-APPROVAL-DEPLOY", "an approval to deploy the plan")
        apply = Link(missing=(approval, ("EV-CHAIN-APPLY", "the apply of the plan")))
        deploy = absent("EV-CHAIN-DEPLOY", f"a verified deploy of {facts.merge_commit or 'the change'}")
        return [apply, deploy, _beside(facts, [])]
    begun = {plan.predicate["stack"]: bool(_applied(facts, plan.predicate["stack"])) for plan in plans}
    ordered = sorted(plans, key=lambda plan: (plan.predicate["approvals"] > 0, not begun[plan.predicate["stack"]]))
    links = [link for plan in ordered for link in (_apply(facts, plan), _deploy(facts, plan))]
    return [*links, _beside(facts, [plan.predicate["stack"] for plan in ordered])]


def _beside(facts: Facts, stacks: Sequence[str]) -> Link:
    """Return the findings for applies and deploys without a plan."""
    applies = [entry for entry in facts.some("apply") if entry.predicate["result"] != "refused"]
    found = [_unplanned(facts, entry) for entry in applies if _plan_of(facts, entry) is None]
    proven = [proof.index for entry in applies if (proof := _proof_of(facts, entry)) is not None]
    loose = [entry for entry in facts.some("proof") if entry.index not in proven]
    found += [broken("EV-CHAIN-APPLY", entry, "this proof is of no recorded apply") for entry in loose]
    for entry in facts.some("deploy"):
        environment = entry.predicate["environment"]
        if environment not in stacks:
            reason = f"this deploy to {environment} has no plan for the merge commit {facts.merge_commit}"
            found.append(broken("EV-CHAIN-DEPLOY", entry, reason))
    return Link(tuple(found))


def _apply(facts: Facts, plan: Entry) -> Link:
    """Check the approval and the apply of a stack; ``plan`` is the stack's newest plan."""
    stack = plan.predicate["stack"]
    applied = _applied(facts, stack)
    if not applied:
        link = approvals.to_deploy(facts, plan, None)
        return Link(link.checks, (*link.missing, ("EV-CHAIN-APPLY", f"the apply of {plan.predicate['manifest']}")))
    checks = [check for entry, made in applied for check in approvals.to_deploy(facts, made, entry).checks]
    return Link((*checks, _ended(facts, stack, applied[-1][0])))


def _applied(facts: Facts, stack: str) -> list[tuple[Entry, Entry]]:
    """Return the applies of a stack that were not refused, with their plans."""
    found = [(entry, _plan_of(facts, entry)) for entry in facts.some("apply") if entry.predicate["result"] != "refused"]
    return [(entry, plan) for entry, plan in found if plan is not None and plan.predicate["stack"] == stack]


def _plan_of(facts: Facts, apply: Entry) -> Entry | None:
    wanted = {name: apply.predicate[name] for name in ("commit", "manifest", "plan")}
    if wanted["commit"] != facts.merge_commit:
        return None
    return last([plan for plan in facts.some("plan", **wanted) if plan.index < apply.index])


def _unplanned(facts: Facts, entry: Entry) -> Check:
    what = "commit {commit}, manifest {manifest}, plan {plan}"
    plans = "; ".join(what.format(**plan.predicate) for plan in facts.some("plan")) or "none"
    reason = (
        f"this apply of {what.format(**entry.predicate)} has no plan for the merge commit {facts.merge_commit}"
        f" (plans recorded: {plans})"
    )
    return broken("EV-CHAIN-APPLY", entry, reason)


def _ended(facts: Facts, stack: str, entry: Entry) -> Check:
    rule, result = "EV-CHAIN-APPLY", entry.predicate["result"]
    proof = _proof_of(facts, entry)
    if result == "unknown" and proof is not None:
        return _proven(facts, stack, proof)
    if result != "applied":
        return broken(rule, entry, f"the apply of stack {stack} ended as {result}: its changes are unknown")
    if not entry.predicate["replan_empty"]:
        return broken(rule, entry, f"the plan after the apply of stack {stack} was not empty")
    return held(rule, entry, f"stack {stack} applied as planned")


def _proof_of(facts: Facts, apply: Entry) -> Entry | None:
    """Return the newest proof that an interrupted apply did what its plan says."""
    wanted = {name: apply.predicate[name] for name in ("job", "commit", "manifest", "plan")}
    return last([proof for proof in facts.some("proof", **wanted) if proof.index > apply.index])


def _proven(facts: Facts, stack: str, proof: Entry) -> Check:
    """Check that the proof names a recorded plan of the same commit and stack, and a state that was saved since."""
    rule, predicate = "EV-CHAIN-APPLY", proof.predicate
    named = {"manifest": predicate["new_manifest"], "plan": predicate["new_plan"]}
    plans = facts.some("plan", commit=facts.merge_commit, stack=stack, pipeline=predicate["new_pipeline"], **named)
    if not any(plan.index < proof.index for plan in plans):
        return broken(rule, proof, f"the proof names the new plan {predicate['new_plan']}, which no statement records")
    before, now = predicate["serial_before"], predicate["serial_now"]
    if now <= before:
        return broken(rule, proof, f"the proof names the state's serial {now}, which is not later than {before}")
    return held(
        rule, proof, f"stack {stack} applied, by proof: a new plan has no changes, serial {before} is now {now}"
    )


def _proofs(facts: Facts) -> list[str]:
    what = (
        "the apply of {stack} (job {job}) was interrupted; it counts as done by proof: pipeline {new_pipeline} planned "
        "no changes, and the state went from serial {serial_before} to {serial_now}"
    )
    return [what.format(**entry.predicate) for entry in facts.some("proof")]


def _deploy(facts: Facts, plan: Entry) -> Link:
    stack = plan.predicate["stack"]
    deploy, applied = last(facts.some("deploy", environment=stack)), _applied(facts, stack)
    if deploy is None:
        return absent("EV-CHAIN-DEPLOY", f"a verified deploy of {facts.merge_commit} to {stack}")
    return Link((_deployed(facts, deploy, applied[-1][0] if applied else None),))


def _deployed(facts: Facts, entry: Entry, applied: Entry | None) -> Check:
    rule, predicate = "EV-CHAIN-DEPLOY", entry.predicate
    if predicate["commit"] != facts.merge_commit:
        return differs(rule, entry, "commit", predicate["commit"], facts.merge_commit)
    if not predicate["verified"]:
        return broken(rule, entry, f"the deploy to {predicate['environment']} was not verified")
    if applied is not None and entry.index < applied.index:
        return broken("EV-CHAIN-ORDER", entry, "the deploy was recorded before the apply")
    return held(rule, entry, f"{facts.merge_commit} verified in {predicate['environment']}")


_LINKS: tuple[Callable[[Facts], Link], ...] = (
    _claim,
    _attempt,
    _verdict,
    approvals.to_merge,
    _merge,
    _plan,
)
