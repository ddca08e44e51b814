"""Merging a merge request by the project's merge method, with or without squash (docs: Merge methods)."""

from collections.abc import Sequence

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
    squashed = _squash_commit(call, request, before) if _squashes(call, request) else None
    head, merge_commit = squashed or request["sha"], None
    if project_settings.of(call.project)["merge_method"] != "ff":
        merge_commit = _merge_commit(call, request, before, head)
    if not repository.set_branch(target, merge_commit or head, before):
        raise api.conflict("The target branch has moved")
    request |= {
        "state": "merged",
        "merged_at": clock.timestamp(),
        "updated_at": clock.timestamp(),
        "squash": squashed is not None,
        "squash_commit_sha": squashed,
        "merge_commit_sha": merge_commit,
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


def _merge_commit(call: Call, request: Document, target: str, head: str) -> str:
    """Write the commit that merges ``head`` into ``target``, by the caller (docs: Commit message templates)."""
    repository = call.context.repository(call.project)
    message = call.text("merge_commit_message")
    if not message and project_settings.of(call.project)["merge_commit_template"]:
        raise api.unsupported("merge_commit_template")
    if not message:
        reference = f"{call.project['path_with_namespace']}!{request['iid']}"
        title = f"Merge branch '{request['source_branch']}' into '{request['target_branch']}'"
        message = f"{title}\n\n{request['title']}\n\nSee merge request {reference}"
    tree = repository.merged_tree(target, head)
    if tree is None:  # the target has moved since mergeability was checked
        raise api.not_allowed()
    return _write(call, tree, (target, head), message, author=call.user)


def _squash_commit(call: Call, request: Document, target: str) -> str | None:
    """Write a commit with all changes of a merge request; return ``None`` if it has only one commit already."""
    repository = call.context.repository(call.project)
    parent = repository.merge_base(target, request["sha"]) or target
    message = call.text("squash_commit_message")
    if repository.count(f"{parent}..{request['sha']}") == 1 and not message:
        return None
    if not message and project_settings.of(call.project)["squash_commit_template"]:
        raise api.unsupported("squash_commit_template")
    author = call.store.get("user", request["_author"]) or call.user
    return _write(call, f"{request['sha']}^{{tree}}", (parent,), message or request["title"], author=author)


def _write(call: Call, tree: str, parents: Sequence[str], message: str, *, author: Document) -> str:
    """Write a commit whose committer is the caller; return its SHA."""
    who = {
        "GIT_AUTHOR_NAME": author["name"],
        "GIT_AUTHOR_EMAIL": author["email"],
        "GIT_COMMITTER_NAME": call.user["name"],
        "GIT_COMMITTER_EMAIL": call.user["email"],
    }
    onto = [argument for parent in parents for argument in ("-p", parent)]
    return call.context.repository(call.project).git("commit-tree", tree, *onto, stdin=message.encode(), env=who)


ROUTES = (Route("PUT", "/projects/{id}/merge_requests/{iid}/merge", _merge, DEVELOPER),)
