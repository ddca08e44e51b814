"""Merge requests: creation, changes, diffs and mergeability (docs: Merge requests API)."""

from functools import partial
from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ci import creation, pipelines
from factory.local_gitlab.ci.states import detailed_merge_status
from factory.local_gitlab.issues import discussions, filters, issues
from factory.local_gitlab.projects import approval_rules, project_settings
from factory.local_gitlab.ref_updates import NO_AUTO_MERGE, follow_source
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_UNSUPPORTED = (
    "allow_collaboration",
    "allow_maintainer_to_push",
    "approvals_before_merge",
    "assignee_id",
    "assignee_ids",
    "milestone_id",
    "reviewer_ids",
)


def status(context: Context, project: Document, request: Document, *, later: bool = False) -> str:
    """Return whether a merge request can be merged, or why not (docs: Merge requests API, merge status).

    ``later`` leaves out what an auto-merge waits for: the pipeline, approvals, threads, and the end of a draft.
    """
    repository = context.repository(project)
    target = repository.branches().get(request["target_branch"])
    head = request["sha"]
    opened = request["state"] == "opened"
    behind = opened and target is not None and head is not None and not repository.is_ancestor(target, head)
    found = pipelines.of_request(context, project, request)
    latest = found[0]["status"] if found and found[0]["sha"] == head else None
    return detailed_merge_status(
        state=request["state"],
        draft=request["draft"] and not later,
        pipeline=latest,
        must_succeed=project["only_allow_merge_if_pipeline_succeeds"] and not later,
        allow_skipped=project["allow_merge_on_skipped_pipeline"],
        approvals_left=0 if later else approval_rules.left(context, project, request),
        discussions_open=not later
        and project["only_allow_merge_if_all_discussions_are_resolved"]
        and discussions.unresolved(context, project, request),
        conflict=target is None or (behind and repository.merged_tree(target, head) is None),
        needs_rebase=behind and project["merge_method"] in {"ff", "rebase_merge"},
    )


def show(context: Context, project: Document, request: Document) -> Document:
    """Return a merge request as the API shows it."""
    store = context.store
    url = f"{context.base_url}/{project['path_with_namespace']}/-/merge_requests/{request['iid']}"
    state = status(context, project, request)
    found = pipelines.of_request(context, project, request)
    latest = pipelines.show(context, project, found[0]) if found else None
    notes = store.all("note", project=project["id"], noteable_id=request["id"], noteable_type="MergeRequest")
    return api.public(request) | {
        "project_id": project["id"],
        "source_project_id": project["id"],
        "target_project_id": project["id"],
        "author": by_id(context, request["_author"]),
        "merged_by": by_id(context, request["_merged_by"]),
        "merge_user": by_id(context, request["_merged_by"] or (request.get("_auto_merge") or {}).get("user")),
        "assignees": [],
        "assignee": None,
        "reviewers": [],
        "milestone": None,
        "detailed_merge_status": state,
        "merge_status": "can_be_merged" if state == "mergeable" else "cannot_be_merged",
        "has_conflicts": state == "conflict",
        "blocking_discussions_resolved": not discussions.unresolved(context, project, request),
        "merge_when_pipeline_succeeds": request.get("merge_when_pipeline_succeeds", False),
        "work_in_progress": request["draft"],
        "user_notes_count": len(notes),
        "head_pipeline": latest,
        "pipeline": latest,
        "web_url": url,
        "references": {
            "short": f"!{request['iid']}",
            "relative": f"!{request['iid']}",
            "full": f"{project['path_with_namespace']}!{request['iid']}",
        },
    }


def _list(call: Call) -> Any:
    found = filters.listed(call, "merge_request", ("opened", "closed", "locked", "merged"))
    for key in ("source_branch", "target_branch"):
        found = [request for request in found if call.params.get(key) in (None, request[key])]
    return Page(found, partial(show, call.context, call.project))


def create(call: Call) -> Any:
    """Open the merge request that the call's parameters describe."""
    source, target = str(call.need("source_branch")), str(call.need("target_branch"))
    title = issues.title(call)
    api.refuse_unsupported(call, _UNSUPPORTED)
    if source == target:
        raise api.unprocessable("You can't use same project/branch for source and target")
    branches = call.context.repository(call.project).branches()
    for name, branch in (("source_branch", source), ("target_branch", target)):
        if branch not in branches:
            raise api.unprocessable({name: ["does not exist"]})
    for other in call.store.all("merge_request", project=call.project["id"], state="opened", source_branch=source):
        if other["target_branch"] == target:
            raise api.conflict(
                ["Another open merge request already exists for this source branch: !" + str(other["iid"])]
            )
    now = clock.timestamp()
    document = {
        "title": title,
        "description": call.text("description"),
        "state": "opened",
        "created_at": now,
        "updated_at": now,
        "merged_at": None,
        "closed_at": None,
        "source_branch": source,
        "target_branch": target,
        "labels": [],
        "draft": title.lower().startswith(("draft:", "[draft]", "(draft)")),
        "sha": None,
        "merge_commit_sha": None,
        "squash_commit_sha": None,
        "squash": call.flag("squash"),
        "diff_refs": None,
        "force_remove_source_branch": call.flag(
            "remove_source_branch", default=project_settings.of(call.project)["remove_source_branch_after_merge"]
        ),
        "_author": call.user["id"],
        "_merged_by": None,
        "_approved_by": [],
        **NO_AUTO_MERGE,
    }
    issues.apply_labels(call, document)
    request = call.store.add("merge_request", document, project=call.project["id"])
    follow_source(call.context, call.project, request, branches[source], call.user)
    call.context.wake_pipelines()
    return api.Answer(show(call.context, call.project, request), 201)


def _request(call: Call) -> Document:
    return call.own("merge_request")


def _show(call: Call) -> Any:
    return show(call.context, call.project, _request(call))


def change(call: Call) -> Any:
    """Change the merge request that the call's path names."""
    request = _request(call)
    api.refuse_unsupported(call, (*_UNSUPPORTED, "discussion_locked"))
    if call.params.get("target_branch") not in (None, request["target_branch"]):
        raise api.unsupported("another target_branch")
    event = call.choice("state_event", ("close", "reopen", "none"), "none")
    if "title" in call.params:
        request["title"] = issues.title(call)
    request["description"] = call.text("description") if "description" in call.params else request["description"]
    request["squash"] = call.flag("squash", default=request["squash"])
    removes = "force_remove_source_branch"
    request[removes] = call.flag("remove_source_branch", default=request[removes])
    request["draft"] = request["title"].lower().startswith(("draft:", "[draft]", "(draft)"))
    issues.apply_labels(call, request)
    if event == "close" and request["state"] == "opened":
        request |= {"state": "closed", "closed_at": clock.timestamp(), **NO_AUTO_MERGE}
    elif event == "reopen" and request["state"] == "closed":
        request |= {"state": "opened", "closed_at": None}
    request["updated_at"] = clock.timestamp()
    return show(call.context, call.project, call.store.save("merge_request", request))


def _diffs(call: Call) -> Any:
    refs = _request(call)["diff_refs"]
    return Page(call.context.repository(call.project).diff(refs["base_sha"], refs["head_sha"]))


def _versions(call: Call) -> Any:
    return Page(_request(call).get("_versions", []))


def _changes(call: Call) -> Any:
    request = _request(call)
    refs = request["diff_refs"]
    changes = call.context.repository(call.project).diff(refs["base_sha"], refs["head_sha"])
    return show(call.context, call.project, request) | {"changes": changes, "overflow": False}


def _commits(call: Call) -> Any:
    refs = _request(call)["diff_refs"]
    return Page(call.context.repository(call.project).commits(f"{refs['base_sha']}..{refs['head_sha']}"))


def _pipelines(call: Call) -> Any:
    found = pipelines.of_request(call.context, call.project, _request(call))
    return Page(found, partial(pipelines.show, call.context, call.project))


def _new_pipeline(call: Call) -> Any:
    request = _request(call)
    pipeline = creation.create(
        call.context,
        call.project,
        ref=f"refs/merge-requests/{request['iid']}/head",
        sha=request["sha"],
        before=creation.ZERO,
        source="merge_request_event",
        user=call.user,
        request=request,
    )
    if pipeline is None:
        raise api.bad_request(creation.FILTERED)
    return api.Answer(pipelines.show(call.context, call.project, pipeline), 201)


_REQUESTS = "/projects/{id}/merge_requests"
_ONE = _REQUESTS + "/{iid}"

ROUTES = (
    Route("GET", _REQUESTS, _list),
    Route("POST", _REQUESTS, create, DEVELOPER),
    Route("GET", _ONE, _show),
    Route("PUT", _ONE, change, DEVELOPER),
    Route("GET", _ONE + "/diffs", _diffs),
    Route("GET", _ONE + "/versions", _versions),
    Route("GET", _ONE + "/changes", _changes),
    Route("GET", _ONE + "/commits", _commits),
    Route("GET", _ONE + "/pipelines", _pipelines),
    Route("POST", _ONE + "/pipelines", _new_pipeline, DEVELOPER),
)
