"""Reads from GitLab the state of the merge requests that the factory ships."""

from contextlib import suppress

from factory.errors import NotFound, Refused
from factory.gitlab import issues, merge_requests
from factory.model.gitlab import MergeRequest
from factory.policies.model import Policies
from factory.workflow import work_queue
from factory.workflow.context import Context
from factory.workflow.release import approvals, own_change, review, rollout, shipment


def find(context: Context, policies: Policies, issue: int | None) -> list[MergeRequest]:
    """Return the merge requests to ship, in ascending order; ``issue`` limits them to those of an issue.

    These are the merge requests of sessions, persons' own, and those that persons merged.
    """
    labels = policies.session.labels
    opened = merge_requests.find(context.bot)
    found = [
        # Anybody who works on the project can set a label.
        *(item for item in opened if labels.review in item.labels and shipment.is_session(item)),
        *merge_requests.find(context.bot, state="merged", labels=[labels.review]),
        *merge_requests.find(context.bot, state="merged", labels=[labels.shipping]),
        *merge_requests.find(context.bot, state="merged", labels=[labels.apply_unknown]),
    ]
    unique = {item.iid: item for item in found}
    if issue is not None:
        unique = {iid: item for iid, item in unique.items() if _is_of(context, item, issue)}
    else:
        own = [item for item in opened if own_change.is_own(context, item, policies)]
        unique |= {item.iid: item for item in own}
        unique |= {item.iid: item for item in own_change.unrecorded(context, policies)}
    return [item for _, item in sorted(unique.items()) if labels.blocked not in item.labels]


def read(context: Context, policies: Policies, request: MergeRequest) -> work_queue.Request:
    """Return the state of a merge request."""
    merged, own = request.state == "merged", own_change.is_own(context, request, policies)
    pipeline = own_change.unfinished(context, request) if own and not merged else ""
    every = [] if merged else merge_requests.approvals(context.bot, request.iid)
    given = review.seen(context, request.iid, every) if every else []
    allowed = policies.approvals.merge.approvers
    counted = approvals.counting(context, given, request, policies, own=own, approvers=allowed)
    enough = len(counted) >= (1 if merged else approvals.required(context, request, policies, len(counted)))
    if not merged and not enough and shipment.is_session(request):
        review.hold_head(context, request)
    shown = merged or not own or f"- head: `{request.sha}`" in review.shown(context, request.iid)
    planned = approved = begun = False
    of_main = shipment.main_pipeline(context, request.sha) if merged else None
    if of_main is not None:
        notes = issues.notes(context.bot, "merge_requests", request.iid)
        planned = any(note.body.startswith(f"<!-- factory:{review.deploy_mark(of_main.id)} -->") for note in notes)
        deployment = rollout.deployment_of(context, of_main, policies.environments.deploy)
        if deployment is not None and planned:
            job = rollout.job_of(context, of_main.id, rollout.APPLY, policies.environments.deploy)
            votes = approvals.counting(context, rollout.decisions(context, deployment, job), request, policies, own=own)
            approved = len(votes) >= policies.environments.target.approvals and deployment.status != "blocked"
            begun = deployment.status in {"running", "success", "failed", "canceled"}
    return work_queue.Request(
        iid=request.iid,
        merged=merged,
        approved=enough,
        planned=planned,
        deploy_approved=approved,
        deploy_begun=begun,
        interrupted=policies.session.labels.apply_unknown in request.labels,
        shown=shown,
        unseen=shown and len(given) < len(every),
        behind=own and not merged and own_change.is_behind(context, request),
        pipeline=pipeline,
        alone=context.accounts.alone,
    )


def _is_of(context: Context, request: MergeRequest, issue: int) -> bool:
    with suppress(NotFound, Refused):
        return shipment.issue_of(context, request).number == issue
    return False
