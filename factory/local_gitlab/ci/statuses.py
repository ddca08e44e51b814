"""Commit statuses that external systems set (docs: Commits API, commit status)."""

from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ci.predefined import is_protected
from factory.local_gitlab.ci.states import Job
from factory.local_gitlab.refs.protected_branches import may
from factory.local_gitlab.refs.protected_tags import may_create
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_STATES = {"pending", "running", "success", "failed", "canceled", "skipped"}
_OPEN = {"pending", "running"}
# Larger than any stage index of a definition.
_STAGE = 1_000_000


def of_pipeline(store: Store, pipeline: Document) -> list[Job]:
    """Return a pipeline's commit statuses as jobs of a stage after all others."""
    found = store.all("status", project=pipeline["project_id"], pipeline_id=pipeline["id"])
    return [
        Job(
            id=item["id"],
            name=item["name"],
            stage=_STAGE,
            status=item["status"],
            when="on_success",
            allow_failure=item["allow_failure"],
            needs=None,
            optional_needs=frozenset(),
            resource_group=None,
        )
        for item in found
    ]


def _pipeline(call: Call, sha: str) -> Document | None:
    """Return the pipeline of a status: the one in ``pipeline_id``, or the commit's newest that is no child."""
    found = call.store.all("pipeline", project=call.project["id"], sha=sha, _bridge=None)
    if "pipeline_id" in call.params:
        number = call.integer("pipeline_id")
        return api.require(next((item for item in found if item["id"] == number), None), "Pipeline")
    return found[-1] if found else None


def _sha(call: Call) -> str:
    sha = call.context.repository(call.project).resolve(call.path["sha"])
    if sha is None:
        raise api.not_found("Commit")
    return sha


def _show(call: Call, status: Document) -> Document:
    hidden = () if status["pipeline_id"] else ("pipeline_id",)
    return api.public(status, "iid", *hidden) | {"author": by_id(call.context, status["_author"])}


def _may_update(call: Call, pipeline: Document) -> bool:
    """Return whether the caller may change a pipeline: of a protected ref only who may push or merge there, or tag it.

    (GitLab docs: Protected branches, "CI/CD on protected branches".)
    """
    ref = pipeline["ref"]
    if not is_protected(call.context, call.project, pipeline):
        return True
    if pipeline["tag"]:
        return may_create(call.store, call.project, ref, call.user, call.role)
    return any(may(call.store, call.project, ref, action, call.user, call.role) for action in ("push", "merge"))


def _create(call: Call) -> Any:
    state = str(call.need("state"))
    if state not in _STATES:
        raise api.bad_request("state does not have a valid value", key="error")
    sha = _sha(call)
    name = str(call.params.get("name") or call.params.get("context") or "default")
    pipeline = _pipeline(call, sha)
    if pipeline and not _may_update(call, pipeline):
        raise api.forbidden()
    number = pipeline["id"] if pipeline else None
    before = call.store.all("status", project=call.project["id"], sha=sha, name=name, pipeline_id=number)
    # GitLab looks for an open status of the caller; another account's is replaced, whatever its state.
    if any(item["status"] == state in _OPEN and item["_author"] == call.user["id"] for item in before):
        raise api.failed(400, f"Cannot transition status via :enqueue from :{state}")
    document = {
        "id": call.store.number("job"),  # GitLab numbers both together: no status has the id of a job
        "sha": sha,
        "pipeline_id": number,
        "ref": call.params.get("ref") or call.project["default_branch"],
        "status": state,
        "name": name,
        "target_url": call.params.get("target_url"),
        "description": call.params.get("description"),
        "created_at": clock.timestamp(),
        "started_at": None,
        "finished_at": clock.timestamp() if state in {"success", "failed", "canceled"} else None,
        "allow_failure": False,
        "coverage": None,
        "_author": call.user["id"],
    }
    for old in before:
        call.store.delete("status", old)
    status = call.store.add("status", document, project=call.project["id"], name=name)
    if pipeline:
        call.store.save("pipeline", pipeline | {"status": "running", "finished_at": None})
        call.context.wake_pipelines()
    return api.Answer(_show(call, status), 201)


def _list(call: Call) -> Any:
    filters: dict[str, Any] = {"name": call.params["name"]} if call.params.get("name") else {}
    if call.params.get("pipeline_id"):
        filters["pipeline_id"] = call.integer("pipeline_id")
    found = call.store.all("status", project=call.project["id"], sha=_sha(call), **filters)
    return Page([_show(call, item) for item in found])


ROUTES = (
    Route("POST", "/projects/{id}/statuses/{sha}", _create, DEVELOPER),
    Route("GET", "/projects/{id}/repository/commits/{sha}/statuses", _list),
)
