"""What the evidence must show before a merge request is merged, before a plan is applied, or not made. Pure.

A merge rests on the whole chain so far. An apply rests on its own plan and approval: faults of earlier merges and
applies can't be healed, and must not keep a person from rolling back.
"""

from collections.abc import Mapping, Sequence

from factory.evidence import approvals, chain, transparency_log, verify
from factory.evidence.facts import ByMergeRequest
from factory.evidence.transparency_log import Entry
from factory.evidence.trust import ALONE, Trust

_MERGE = frozenset({"EV-CHAIN-CLAIM", "EV-CHAIN-ATTEMPT", "EV-CHAIN-VERDICT", "EV-APPROVAL-MERGE"})
_OF_CHAINS = ("EV-CHAIN", "EV-APPROVAL")


def unmet_before_merge(tree: Mapping[str, bytes], trust: Trust, merge_request: int, head: str) -> tuple[str, ...]:
    """Return what the log and the chain lack or break, from the claim to the approval of ``head``; empty: merge it."""
    report = verify.verify(tree, trust=trust, merge_request=merge_request)
    if report.findings:
        return tuple(check.reason for check in report.findings)
    entries = transparency_log.valid(tree, trust)
    own = ByMergeRequest(entries).about(merge_request)
    found = chain.follow(own, merge_request=merge_request, trust=trust)
    missing = [what for rule, what in found.missing if rule in _MERGE]
    verdicts = [entry.predicate["head"] for entry in own if entry.kind == "verdict"]
    if verdicts and verdicts[-1] != head:
        missing.append(f"a verdict for the head {head}: the newest is for {verdicts[-1]}")
    return tuple(missing)


def unmet_before_apply(
    tree: Mapping[str, bytes],
    trust: Trust,
    merge_request: int,
    *,
    stack: str,
    manifest: str,
    plan: str,
    by_hand: bool = False,
) -> tuple[str, ...]:
    """Return what the log lacks or breaks: its own integrity, the merge, this plan, and the approval of this plan.

    ``by_hand`` says that a person's start of the apply is the approval, which is recorded afterwards.
    """
    report = verify.verify(tree, trust=trust, merge_request=merge_request)
    broken = [check.reason for check in report.findings if not check.rule.startswith(_OF_CHAINS)]
    if broken:
        return tuple(broken)
    own = [
        entry for entry in transparency_log.valid(tree, trust) if entry.predicate.get("merge_request") == merge_request
    ]
    unmet = [] if any(entry.kind == "merge" for entry in own) else ["the merge"]
    wanted = {"stack": stack, "manifest": manifest, "plan": plan}
    plans = [entry for entry in own if entry.kind == "plan" and wanted.items() <= entry.predicate.items()]
    if not plans:
        return (*unmet, f"the plan of {stack} with the manifest {manifest}")
    approved = any(
        entry.kind == "approval"
        and (entry.predicate["scope"], entry.predicate["plan"]) == ("deploy", plan)
        and entry.index > plans[0].index
        and not approvals.forbidden(entry, trust)
        for entry in own
    )
    if plans[-1].predicate["approvals"] and trust.separation != ALONE and not approved and not by_hand:
        unmet.append(f"an approval to deploy the plan {plan}")
    return tuple(unmet)


def provided(entries: Sequence[Entry], *, project: str, stack: str) -> str | None:
    """Return the newest commit of main that a stack has, or may still get from its recorded plan; ``None`` if none.

    What main changed since then needs a new plan of the stack, also where the newest push did not touch it: the plan of
    an earlier push may have failed, or an environment before the stack's in the same pipeline.
    """
    own = [entry for entry in entries if entry.predicate["project"] == project]
    merged = {entry.predicate["merge_commit"]: entry.index for entry in own if entry.kind == "merge"}
    # A plan before the merge is the merge request's own.
    plans = [
        entry
        for entry in own
        if entry.kind == "plan"
        and entry.predicate["stack"] == stack
        and merged.get(entry.predicate["commit"], entry.index) < entry.index
    ]
    done = {
        entry.predicate["manifest"]
        for entry in own
        if entry.kind == "proof" or (entry.kind == "apply" and entry.predicate["result"] == "applied")
    }
    for plan in reversed(plans):
        if plan.predicate["manifest"] in done or not _stopped(own, plan):
            return str(plan.predicate["commit"])
    return None


def _stopped(entries: Sequence[Entry], plan: Entry) -> bool:
    """Return whether the newest apply of one of the pipeline's plans, or the newest check after it, failed."""
    pipeline, ended = plan.predicate["pipeline"], dict[str, bool]()
    of_plan: dict[str, str] = {
        entry.predicate["manifest"]: entry.predicate["stack"]
        for entry in entries
        if entry.kind == "plan" and entry.predicate["pipeline"] == pipeline
    }
    for entry in entries:
        if entry.index < plan.index:
            continue
        if entry.kind == "apply" and entry.predicate["pipeline"] == pipeline:
            ended[of_plan.get(entry.predicate["manifest"], "")] = entry.predicate["result"] != "applied"
        if entry.kind == "deploy" and entry.predicate["commit"] == plan.predicate["commit"]:
            ended[entry.predicate["environment"]] = not entry.predicate["verified"]
    return any(ended.values())
