"""A person's own merge request, which no session made: finds it, and records who proposed it and what was checked."""

from factory.errors import Refused
from factory.evidence import sign, statement, transparency_log
from factory.gitlab import merge_requests, pipelines
from factory.model.gitlab import MAIN, MergeRequest, Pipeline
from factory.operations.collect import origin
from factory.policies.model import Policies
from factory.specs.trailers import trailers
from factory.system import clock
from factory.workflow.context import Context
from factory.workflow.recorder import record, record_plans, record_verdict
from factory.workflow.release import pipeline_watch, shipment
from factory.workflow.release.shipment import ShippedIssue


def is_own(context: Context, request: MergeRequest, policies: Policies) -> bool:
    """Return whether a person opened a merge request to main by hand; drafts and those of forks are left alone."""
    # With one account for everything, only the branch tells a session's merge request from a person's.
    factory = () if context.accounts.alone else (context.agent.account, context.bot.account)
    agents = {*factory, *policies.scope.agents}
    person = request.author.casefold() not in {name.casefold() for name in agents}
    apart = not (request.draft or request.fork or shipment.is_session(request))
    return person and apart and request.target_branch == MAIN


def shipped_by(context: Context, request: MergeRequest, policies: Policies) -> ShippedIssue:
    """Return what a merge request ships, a session's or a person's own; raises as ``shipment.issue_of`` does."""
    return shipment.of(context, request, own=is_own(context, request, policies))


def _of_head(context: Context, request: MergeRequest) -> Pipeline | None:
    """Return the newest pipeline of the merge request, if it is of the head."""
    found = next(iter(pipelines.of_merge_request(context.bot, request.iid)), None)
    return found if found is not None and found.sha == request.sha else None


def judged(context: Context, request: MergeRequest) -> Pipeline | None:
    """Return the newest pipeline of the merge request, if it passed for the head."""
    found = _of_head(context, request)
    return found if found is not None and found.status == "success" else None


def unfinished(context: Context, request: MergeRequest) -> str:
    """Return the status of the head's newest pipeline, ``created`` if there is none; empty if it passed."""
    found = _of_head(context, request)
    if found is None:
        return "created"
    return "" if found.status == "success" else found.status


def is_behind(context: Context, request: MergeRequest) -> bool:
    """Return whether main has commits that the merge request lacks; git shows that earlier than GitLab."""
    known = bool(context.mirror.resolve(request.sha))
    return (known and not context.mirror.is_ancestor(context.main(), request.sha)) or (
        request.detailed_merge_status == "need_rebase"
    )


def record_proposal(context: Context, request: MergeRequest, pipeline: Pipeline) -> None:
    """Record once who proposed the head and pushed it, its plans, and the verdict of its pipeline.

    Later pushes and policies change nothing about that.
    Raises ``NotFound`` if the pipeline has no plan, ``Refused`` if its verdict is not the protected branch's.
    """
    key = f"proposal/{request.iid}/{request.sha}"
    if is_recorded(context, "proposal", key):
        return
    decision = pipeline_watch.verdict(context.bot, pipeline.id)
    if decision is not None and (why := pipeline_watch.foreign(context, decision, request.sha)):
        raise Refused(f"!{request.iid}: {why}")
    record_plans(context, request.iid, issue=shipment.NO_ISSUE, pipeline=pipeline.id)
    if decision is not None:
        record_verdict(
            context,
            issue=shipment.NO_ISSUE,
            merge_request=request.iid,
            head=request.sha,
            pipeline=pipeline.id,
            decision=decision,
        )
    oldest = [request.sha, *merge_requests.commits(context.bot, request.iid)][-1]
    base = context.mirror.resolve(f"{oldest}^") or oldest
    messages = [text for _, text in context.mirror.messages(request.sha, f"^{base}")]
    # Last: that it is there says that the others are.
    whose = origin.of_merge_request(context.bot, request.iid)
    record(
        context,
        "proposal",
        issue=shipment.NO_ISSUE,
        subjects={"commit": f"gitCommit:{request.sha}"},
        predicate={
            "key": key,
            "merge_request": request.iid,
            "author": request.author,
            "pushers": list(whose.pushers),
            "branch": request.source_branch,
            "head": request.sha,
            "base": base,
            "asked": next((issue for text in messages if (issue := trailers(text).issue)), shipment.NO_ISSUE),
            "agents": sorted({name for text in messages for name in trailers(text).agents}),
        },
    )


def is_recorded(context: Context, kind: str, key: str) -> bool:
    """Return whether the evidence, as of the last fetch, has a statement of a kind with a key."""
    head = context.mirror.head(transparency_log.BRANCH)
    return head is not None and transparency_log.names(context.mirror.paths(head), kind, key)


def unrecorded(context: Context, policies: Policies) -> list[MergeRequest]:
    """Return the merge requests that persons merged since the evidence began and that no statement names, oldest first.

    Only the newest merges are read; the comparison of the evidence with GitLab reads all.
    """
    found = [item for item in merge_requests.merged_last(context.bot) if is_own(context, item, policies)]
    head = context.mirror.head(transparency_log.BRANCH) if found else None
    if head is None:
        return []
    paths = [path for path in context.mirror.paths(head) if path.startswith(transparency_log.STATEMENTS)]
    first = transparency_log.decode_envelope(context.mirror.read(head, min(paths)))
    began = clock.parse(statement.parse(sign.payload_of(first))["predicate"]["time"])
    # Main has another commit than the head after a merge that squashed; the comparison with GitLab names those.
    whole = [item for item in found if set(item.merged_as) <= {item.sha}]
    since = [item for item in whole if item.merged_at and clock.parse(item.merged_at) >= began]
    left = [item for item in since if not transparency_log.names(paths, "merge", f"merge/{item.iid}")]
    return sorted(left, key=lambda item: item.iid)
