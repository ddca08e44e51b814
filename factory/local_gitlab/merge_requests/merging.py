"""Merging a merge request: fast-forward, of its commits or of one squash commit (docs: Merge requests API, merge)."""

from factory.local_gitlab.ci import pipelines
from factory.local_gitlab.ci.states import ACTIVE
from factory.local_gitlab.merge_requests import merge_requests
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.ref_updates import sync_refs
from factory.local_gitlab.refs.protected_branches import may
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def _merge(call: Call) -> Document:
    request = call.own("merge_request")
    target = request["target_branch"]
    if not may(call.store, call.project, target, "merge", call.user, call.role):
        raise api.unauthorized()
    if call.params.get("sha") not in (None, request["sha"]):
        raise api.conflict(f"SHA does not match HEAD of source branch: {request['sha']}")
    _refuse_auto_merge(call, request)
    if merge_requests.status(call.context, call.project, request) != "mergeable":
        raise api.not_allowed()
    repository = call.context.repository(call.project)
    before = repository.branches()[target]
    if not repository.is_ancestor(before, request["sha"]):
        raise api.unprocessable("Branch cannot be merged: only fast-forward merges are offered here")
    squashed = _squash_commit(call, request, before) if _squashes(call, request) else None
    if not repository.set_branch(target, squashed or request["sha"], before):
        raise api.conflict("The target branch has moved")
    request |= {
        "state": "merged",
        "merged_at": clock.timestamp(),
        "updated_at": clock.timestamp(),
        "squash": squashed is not None,
        "squash_commit_sha": squashed,
        "_merged_by": call.user["id"],
    }
    call.store.save("merge_request", request)
    if call.flag("should_remove_source_branch", default=request["force_remove_source_branch"]):
        repository.git("update-ref", "-d", f"refs/heads/{request['source_branch']}")
    sync_refs(call.context, call.project, call.user)
    return merge_requests.show(call.context, call.project, request)


def _refuse_auto_merge(call: Call, request: Document) -> None:
    """Raise 400 if GitLab would merge later, when the pipeline succeeds; merging at once would be wrong."""
    found = pipelines.of_request(call.context, call.project, request)
    if found and found[0]["sha"] == request["sha"] and found[0]["status"] in {*ACTIVE, "created"}:
        api.refuse_unsupported(call, ("auto_merge", "merge_when_pipeline_succeeds"))


def _squashes(call: Call, request: Document) -> bool:
    """Return whether to squash; raises 400 if the project never squashes (docs: Squash and merge)."""
    option = project_settings.of(call.project)["squash_option"]
    wanted = call.flag("squash", default=request["squash"])
    if option == "never" and call.flag("squash"):
        reason = "Squashing not allowed: This project doesn't allow you to squash commits when merging."
        raise api.unprocessable(reason)
    return bool(option == "always" or (wanted and option != "never"))


def _squash_commit(call: Call, request: Document, parent: str) -> str | None:
    """Write a commit with all changes of a merge request; return ``None`` if it has only one commit already."""
    repository = call.context.repository(call.project)
    message = call.text("squash_commit_message")
    if repository.count(f"{parent}..{request['sha']}") == 1 and not message:
        return None
    if not message and project_settings.of(call.project)["squash_commit_template"]:
        raise api.unsupported("squash_commit_template")
    author = call.store.get("user", request["_author"]) or call.user
    who = {
        "GIT_AUTHOR_NAME": author["name"],
        "GIT_AUTHOR_EMAIL": author["email"],
        "GIT_COMMITTER_NAME": call.user["name"],
        "GIT_COMMITTER_EMAIL": call.user["email"],
    }
    text = (message or request["title"]).encode()
    return repository.git("commit-tree", f"{request['sha']}^{{tree}}", "-p", parent, stdin=text, env=who)


ROUTES = (Route("PUT", "/projects/{id}/merge_requests/{iid}/merge", _merge, DEVELOPER),)
