"""Merging a merge request by the project's merge method, at once or when its pipeline succeeds.

GitLab's docs: Merge methods; Squash and merge; Auto-merge.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from aiohttp import web

from factory.errors import FactoryError
from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.ci import creation, pipelines
from factory.local_gitlab.ci.states import ACTIVE, FINISHED
from factory.local_gitlab.merge_requests import merge_requests
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.ref_updates import NO_AUTO_MERGE, sync_refs
from factory.local_gitlab.refs.protected_branches import may
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, log

_TICK = 1.0


@dataclass(frozen=True)
class Choices:
    """What a merge may choose; ``None`` stands for what the merge request and the project say."""

    squash: bool | None
    remove_source: bool | None
    message: str | None
    squash_message: str | None


@dataclass(frozen=True)
class _Planned:
    """A merge request, the user who merges it, and that user's choices."""

    context: Context
    project: Document
    request: Document
    user: Document
    choices: Choices


def _accept(call: Call) -> Document:
    """Merge at once, or with ``auto_merge`` when all checks pass (docs: Merge requests API, merge)."""
    request = call.own("merge_request")
    if not may(call.store, call.project, request["target_branch"], "merge", call.user, call.role):
        raise api.unauthorized()
    if call.params.get("sha") not in (None, request["sha"]):
        raise api.conflict(f"SHA does not match HEAD of source branch: {request['sha']}")
    merge = _Planned(call.context, call.project, request, call.user, _choices(call))
    _refuse_choices(merge)
    automatic = call.flag("auto_merge", default=call.flag("merge_when_pipeline_succeeds"))
    mergeable = merge_requests.status(call.context, call.project, request) == "mergeable"
    pipeline = _head_status(call.context, call.project, request)
    if automatic and (not mergeable or _in_progress(call.project, pipeline)):
        return _wait(merge)
    # GitLab refuses an auto-merge that has nothing to wait for, unless the pipeline has succeeded.
    if not mergeable or (automatic and pipeline != "success"):
        raise api.not_allowed()
    _do(merge)
    return merge_requests.show(call.context, call.project, request)


def _choices(call: Call) -> Choices:
    def chosen(name: str) -> bool | None:
        return None if call.params.get(name) is None else call.flag(name)

    return Choices(
        chosen("squash"),
        chosen("should_remove_source_branch"),
        call.text("merge_commit_message"),
        call.text("squash_commit_message"),
    )


def _refuse_choices(merge: _Planned) -> None:
    """Raise 400 for a template of messages, which this server does not fill in, and 422 for a forbidden squash."""
    settings = project_settings.of(merge.project)
    if settings["squash_option"] == "never" and merge.choices.squash:
        reason = "Squashing not allowed: This project doesn't allow you to squash commits when merging."
        raise api.unprocessable(reason)
    for name, message, used in (
        ("merge_commit_template", merge.choices.message, settings["merge_method"] != "ff"),
        ("squash_commit_template", merge.choices.squash_message, _squashes(merge)),
    ):
        if used and not message and settings[name]:
            raise api.unsupported(name)


def _wait(merge: _Planned) -> Document:
    """Store that a merge request merges when all checks pass; raises 405 for what no later check can change."""
    context, project, request, choices = merge.context, merge.project, merge.request, merge.choices
    if merge_requests.status(context, project, request, later=True) != "mergeable":
        raise api.not_allowed()
    request |= {
        "merge_when_pipeline_succeeds": True,
        "should_remove_source_branch": choices.remove_source,
        "squash": request["squash"] or bool(choices.squash),
        "updated_at": clock.timestamp(),
        "_auto_merge": {"project": project["id"], "user": merge.user["id"], "choices": asdict(choices)},
    }
    context.store.save("merge_request", request)
    context.wake_pipelines()
    return merge_requests.show(context, project, request)


def _cancel(call: Call) -> api.Answer:
    """Cancel an auto-merge; as in GitLab, the body says whether there was one, and the status is 201 either way."""
    request = call.own("merge_request")
    is_author = request["_author"] == call.user["id"]
    if not is_author and not may(call.store, call.project, request["target_branch"], "merge", call.user, call.role):
        raise api.unauthorized()
    if not request.get("_auto_merge"):
        refused = {"message": "Can't cancel the automatic merge", "status": "error", "http_status": 406}
        return api.Answer(refused, 201)
    call.store.save("merge_request", request | {**NO_AUTO_MERGE, "updated_at": clock.timestamp()})
    return api.Answer({"status": "success"}, 201)


async def run(context: Context) -> None:
    """Merge what waits for its checks, until cancelled."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await context.wake.wait()
        for request in context.store.all("merge_request", state="opened", merge_when_pipeline_succeeds=True):
            _merge_waiting(context, request["id"])
        # The scheduler clears the event; until then, waiting for it would return at once.
        await asyncio.sleep(0)


def _merge_waiting(context: Context, number: int) -> None:
    """Merge a merge request if all checks have passed; a merge that fails is not tried again."""
    store = context.store
    try:
        with store.transaction():
            merge = _ready(context, store.get("merge_request", number) or {})
            if merge:
                store.actor = merge.user["id"]
                _refuse_choices(merge)
                _do(merge)
    except (web.HTTPException, FactoryError) as error:
        reason = error.text if isinstance(error, web.HTTPException) else str(error)
        log.event("an auto-merge failed", request=number, reason=reason)
        with store.transaction():
            store.save("merge_request", (store.get("merge_request", number) or {}) | NO_AUTO_MERGE)


def _ready(context: Context, request: Document) -> _Planned | None:
    """Return the merge that waited for its checks, or ``None`` if one has not passed, or its user may not merge."""
    store, waiting = context.store, request["_auto_merge"]
    project, user = store.get("project", waiting["project"]), store.get("user", waiting["user"])
    if project is None or project["archived"] or user is None or user["state"] != "active":
        return None
    role = accounts.level_in(store, project, user)
    pipeline = _head_status(context, project, request)
    passed = pipeline == "success" or (pipeline is None and not creation.is_defined(context, project, request["sha"]))
    if (
        not passed
        or merge_requests.status(context, project, request) != "mergeable"
        or role < DEVELOPER
        or not may(store, project, request["target_branch"], "merge", user, role)
    ):
        return None
    return _Planned(context, project, request, user, Choices(**waiting["choices"]))


def _head_status(context: Context, project: Document, request: Document) -> str | None:
    """Return the status of the newest pipeline of a merge request's head, or ``None`` without one."""
    found = pipelines.of_request(context, project, request)
    return str(found[0]["status"]) if found and found[0]["sha"] == request["sha"] else None


def _in_progress(project: Document, pipeline: str | None) -> bool:
    """Return whether an auto-merge waits for a pipeline; for manual jobs only if pipelines must succeed."""
    if project["only_allow_merge_if_pipeline_succeeds"]:
        return pipeline is not None and pipeline not in FINISHED
    return pipeline in {*ACTIVE, "created"}


def _do(merge: _Planned) -> None:
    """Merge, and process the branches that moved."""
    context, project, request = merge.context, merge.project, merge.request
    target = request["target_branch"]
    repository = context.repository(project)
    before = repository.branches()[target]
    squashed = _squash_commit(merge, before) if _squashes(merge) else None
    head, merge_commit = squashed or request["sha"], None
    if project_settings.of(project)["merge_method"] != "ff":
        merge_commit = _merge_commit(merge, before, head)
    if not repository.set_branch(target, merge_commit or head, before):
        raise api.conflict("The target branch has moved")
    request |= {
        "state": "merged",
        "merged_at": clock.timestamp(),
        "updated_at": clock.timestamp(),
        "squash": squashed is not None,
        "squash_commit_sha": squashed,
        "merge_commit_sha": merge_commit,
        "_merged_by": merge.user["id"],
    }
    context.store.save("merge_request", request)
    chosen = merge.choices.remove_source
    if request["force_remove_source_branch"] if chosen is None else chosen:
        repository.git("update-ref", "-d", f"refs/heads/{request['source_branch']}")
    sync_refs(context, project, merge.user)


def _squashes(merge: _Planned) -> bool:
    """Return whether to squash (docs: Squash and merge)."""
    option, chosen = project_settings.of(merge.project)["squash_option"], merge.choices.squash
    wanted = merge.request["squash"] if chosen is None else chosen
    return bool(option == "always" or (wanted and option != "never"))


def _merge_commit(merge: _Planned, target: str, head: str) -> str:
    """Write the commit that merges ``head`` into ``target``, by the merging user (docs: Commit message templates)."""
    project, request, message = merge.project, merge.request, merge.choices.message
    if not message:
        reference = f"{project['path_with_namespace']}!{request['iid']}"
        title = f"Merge branch '{request['source_branch']}' into '{request['target_branch']}'"
        message = f"{title}\n\n{request['title']}\n\nSee merge request {reference}"
    tree = merge.context.repository(project).merged_tree(target, head)
    if tree is None:  # the target has moved since mergeability was checked
        raise api.not_allowed()
    return _write(merge, tree, (target, head), message, author=merge.user)


def _squash_commit(merge: _Planned, target: str) -> str | None:
    """Write a commit with all changes of a merge request; return ``None`` if it has only one commit already."""
    request, message = merge.request, merge.choices.squash_message
    repository = merge.context.repository(merge.project)
    parent = repository.merge_base(target, request["sha"]) or target
    if repository.count(f"{parent}..{request['sha']}") == 1 and not message:
        return None
    author = merge.context.store.get("user", request["_author"]) or merge.user
    return _write(merge, f"{request['sha']}^{{tree}}", (parent,), message or request["title"], author=author)


def _write(merge: _Planned, tree: str, parents: Sequence[str], message: str, *, author: Document) -> str:
    """Write a commit whose committer is the merging user; return its SHA."""
    who = {
        "GIT_AUTHOR_NAME": author["name"],
        "GIT_AUTHOR_EMAIL": author["email"],
        "GIT_COMMITTER_NAME": merge.user["name"],
        "GIT_COMMITTER_EMAIL": merge.user["email"],
    }
    onto = [argument for parent in parents for argument in ("-p", parent)]
    repository = merge.context.repository(merge.project)
    return repository.git("commit-tree", tree, *onto, stdin=message.encode(), env=who)


_ONE = "/projects/{id}/merge_requests/{iid}"

ROUTES = (
    Route("PUT", _ONE + "/merge", _accept, DEVELOPER),
    Route("POST", _ONE + "/cancel_merge_when_pipeline_succeeds", _cancel, DEVELOPER),
)
