"""Updates merge requests and creates pipelines after a branch or tag moved.

The project document stores the refs that were processed last. Comparing them with the repository finds every push,
even if the server died between the ref update and this function.
"""

from factory.local_gitlab.ci import creation
from factory.local_gitlab.projects import approval_rules
from factory.local_gitlab.refs import push_events
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

# Push options with which a branch's push makes no pipeline; a merge request's is made (docs: Push options).
_SKIPS = {"ci.skip", "ci.no_pipeline"}
# The fields of a merge request that does not merge by itself.
NO_AUTO_MERGE: Document = {
    "merge_when_pipeline_succeeds": False,
    "should_remove_source_branch": None,
    "_auto_merge": None,
}


def sync_refs(context: Context, project: Document, user: Document, *, known_user: bool = True) -> None:
    """Process all branches and tags that moved since the last call; ``user`` is the user who moved them.

    Without ``known_user`` that is a guess, and only pushes over git are recorded, whose users are known.
    """
    known: dict[str, str] = dict(project["_refs"])
    current, tags = context.repository(project).heads()
    # A project without stored tags comes from an older version: its existing tags are not new.
    known_tags: dict[str, str] = dict(project.get("_tags", tags))
    if (current, tags) == (known, project.get("_tags")):
        return
    context.refs_moved.set()
    project["_refs"], project["_tags"] = current, tags
    project["last_activity_at"] = clock.timestamp()
    context.store.save("project", project)
    moved = push_events.moves("branch", known, current) + push_events.moves("tag", known_tags, tags)
    pushes = push_events.latest(context.repository(project).path)
    push_events.record(context, project, moved, pushes, user if known_user else None)
    for branch, sha in current.items():
        if known.get(branch) != sha:
            push = pushes.get((f"refs/heads/{branch}", sha))
            quiet = push is not None and not _SKIPS.isdisjoint(push.options)
            _pushed(context, project, branch, known.get(branch, push_events.ZERO), sha, user, quiet=quiet)
    for tag, sha in tags.items():
        if known_tags.get(tag) != sha:
            before = known_tags.get(tag, push_events.ZERO)
            creation.create(context, project, ref=tag, sha=sha, before=before, source="push", user=user, tag=True)


def _pushed(
    context: Context, project: Document, branch: str, before: str, sha: str, user: Document, *, quiet: bool
) -> None:
    for request in context.store.all("merge_request", project=project["id"], state="opened", source_branch=branch):
        follow_source(context, project, request, sha, user)
    _drop_auto_merges_behind(context, project, branch, sha)
    if not quiet:
        creation.create(context, project, ref=branch, sha=sha, before=before, source="push", user=user)
    context.wake_pipelines()


def _drop_auto_merges_behind(context: Context, project: Document, target: str, sha: str) -> None:
    """Drop the auto-merge of merge requests that now need a rebase (docs: Auto-merge, pipeline success)."""
    if project["merge_method"] == "merge":
        return
    for request in context.store.all(
        "merge_request", project=project["id"], state="opened", target_branch=target, merge_when_pipeline_succeeds=True
    ):
        if not context.repository(project).is_ancestor(sha, request["sha"]):
            context.store.save("merge_request", request | NO_AUTO_MERGE)


def follow_source(context: Context, project: Document, request: Document, sha: str, user: Document) -> None:
    """Update a merge request to its source branch's new head: diff, approvals, auto-merge, pipeline."""
    repository = context.repository(project)
    target = repository.branches().get(request["target_branch"], sha)
    base = repository.merge_base(target, sha) or target
    if request["sha"] not in {None, sha} and approval_rules.holds(context, project, "reset_approvals_on_push"):
        request["_approved_by"] = []
    if request["sha"] != sha:
        diff = {"head_commit_sha": sha, "base_commit_sha": base, "start_commit_sha": target, "state": "collected"}
        versions = request.get("_versions", [])
        version = {"id": request["id"] * 1000 + len(versions) + 1, "merge_request_id": request["id"], **diff}
        request["_versions"] = [{**version, "created_at": clock.timestamp()}, *versions]
        request |= NO_AUTO_MERGE  # the new commits need a review (docs: Auto-merge)
    request["sha"] = sha
    request["diff_refs"] = {"base_sha": base, "head_sha": sha, "start_sha": target}
    request["updated_at"] = clock.timestamp()
    repository.git("update-ref", f"refs/merge-requests/{request['iid']}/head", sha)
    context.store.save("merge_request", request)
    creation.create(
        context,
        project,
        ref=f"refs/merge-requests/{request['iid']}/head",
        sha=sha,
        before=push_events.ZERO,
        source="merge_request_event",
        user=user,
        request=request,
    )
