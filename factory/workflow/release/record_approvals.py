"""Records the approvals that a merge and a deployment rest on, with the digests that each names."""

import re
from collections.abc import Sequence

from factory.errors import Refused
from factory.gitlab import merge_requests, pipelines
from factory.model.gitlab import Approval, Deployment, Job, MergeRequest
from factory.policies.model import Policies
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.workflow.release import approval_digests, approvals, review
from factory.workflow.release.approval_digests import NONE, ApprovalDigests
from factory.workflow.release.rollout import Rollout, decisions
from factory.workflow.release.shipment import ShippedIssue

_NAMED = re.compile(r"manifest (sha256:[0-9a-f]{64})")
_DESTROY = re.compile(r"destroy (sha256:[0-9a-f]{64})")


def of_merge(context: Context, policies: Policies, request: MergeRequest, shipped: ShippedIssue) -> None:
    """Record the approvals of the head; raises ``Refused`` if what they approved has changed since."""
    counted = _counted(context, policies, request, shipped)
    needed = approvals.required(context, request, policies, len(counted))
    if len(counted) < needed:
        raise Refused(f"!{request.iid} has {len(counted)} of {needed} approvals that count")
    latest = next(item for item in pipelines.of_merge_request(context.bot, request.iid) if item.sha == request.sha)
    digests = approval_digests.current(
        context, head=request.sha, spec=shipped.spec, issue=shipped.number, pipeline=latest.id
    )
    shown = review.shown(context, request.iid)
    if shown != digests.lines():
        changed = sorted(set(digests.lines()) - set(shown))
        raise Refused(f"!{request.iid} has changed since its approval: {'; '.join(changed)}")
    _record_merge(context, request, shipped, counted, digests)


def of_past_merge(context: Context, policies: Policies, request: MergeRequest, shipped: ShippedIssue) -> None:
    """Record the approvals of a head that a person merged by hand, as far as the note showed what they named."""
    digests = approval_digests.read(review.shown(context, request.iid))
    if digests is not None and digests.head == request.sha:
        _record_merge(context, request, shipped, _counted(context, policies, request, shipped), digests)


def _counted(context: Context, policies: Policies, request: MergeRequest, shipped: ShippedIssue) -> Sequence[Approval]:
    given = review.seen(context, request.iid, merge_requests.approvals(context.bot, request.iid))
    return approvals.counting(
        context, given, request, policies, own=shipped.own, approvers=policies.approvals.merge.approvers
    )


def _record_merge(
    context: Context,
    request: MergeRequest,
    shipped: ShippedIssue,
    counted: Sequence[Approval],
    digests: ApprovalDigests,
) -> None:
    plan = None if digests.plan == NONE else digests.plan
    for approval in counted:
        record(
            context,
            "approval",
            issue=shipped.number,
            subjects={"commit": f"gitCommit:{digests.head}", **({"plan": plan} if plan else {})},
            predicate={
                "key": f"approval/merge/{request.iid}/{request.sha}/{approval.username}",
                "scope": "merge",
                "merge_request": request.iid,
                "approver": approval.username,
                "approval_type": approvals.approval_type(approval.username, request.author),
                "head": digests.head,
                "spec": None if digests.spec == NONE else digests.spec,
                "policy": digests.policy,
                "plan": plan,
            },
        )


def of_deployment(rollout: Rollout, shipped: ShippedIssue, deployment: Deployment, job: Job) -> str:
    """Record the deployment's approvals of this manifest; one that names none approves the manifest in the note.

    Returns the digest of the plan that an approval allows to destroy resources, or nothing. Raises ``Refused`` if
    approvals are missing and the job has not started; a job that started without them lacks them in the evidence.
    """
    context, policies, request = rollout.context, rollout.policies, rollout.request
    manifest, digest = rollout.manifest, rollout.digest
    shown = review.shown_manifest(context, request.iid, deployment.pipeline)
    given = decisions(context, deployment, job)
    counted = [
        item
        for item in approvals.counting(context, given, request, policies, own=shipped.own)
        if (_NAMED.findall(item.comment) or [shown]) == [digest]
    ]
    if len(counted) < policies.environments.target.approvals and job.status == "manual":
        raise Refused(f"deployment {deployment.id} has no approval that names manifest {digest}")
    spec = approval_digests.spec_of(context, request.sha, name=shipped.spec, issue=shipped.number)
    for approval in counted:
        record(
            context,
            "approval",
            issue=shipped.number,
            subjects={"commit": f"gitCommit:{request.sha}", "plan": manifest.plan},
            predicate={
                "key": f"approval/deploy/{request.iid}/{digest}/{approval.username}",
                "scope": "deploy",
                "merge_request": request.iid,
                "approver": approval.username,
                "approval_type": approvals.approval_type(approval.username, request.author),
                "head": request.sha,
                "spec": spec.digest if spec else None,
                "policy": manifest.policy,
                "plan": manifest.plan,
            },
        )
    return next((found[1] for item in counted if (found := _DESTROY.search(item.comment))), "")
