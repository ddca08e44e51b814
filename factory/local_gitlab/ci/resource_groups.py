"""Resource groups: each lets one job run at a time, in the order of its process mode (docs: Resource group)."""

from typing import Any

from factory.local_gitlab.ci import jobs
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_KIND = "resource_group"
_MODES = ("unordered", "oldest_first", "newest_first", "newest_ready_first")
_HOLDING = {"pending", "running"}
_WAITING = "waiting_for_resource"


def ensure(store: Store, project: int, key: str) -> Document:
    """Return a project's resource group; creates it if it is missing."""
    found = store.find(_KIND, key, project=project)
    if found is not None:
        return found
    now = clock.timestamp()
    document = {"key": key, "process_mode": "unordered", "created_at": now, "updated_at": now}
    return store.add(_KIND, document, project=project, name=key)


def must_wait(store: Store, job: Document) -> bool:
    """Return whether a ready job must wait because another job holds the resource or comes first."""
    key = job["_resource_group"]
    if key is None:
        return False
    others = [other for other in _of(store, job["_project"], key) if other["id"] != job["id"]]
    if any(other["status"] in _HOLDING for other in others):
        return True
    mode = ensure(store, job["_project"], key)["process_mode"]
    return any(_is_before(mode, other, job) for other in _upcoming(mode, others))


def _of(store: Store, project: int, key: str) -> list[Document]:
    found: list[Document] = store.all("job", project=project, _resource_group=key)
    return found


def _upcoming(mode: str, found: list[Document]) -> list[Document]:
    """Return the waiting jobs in the order of a mode; ``oldest_first`` and ``newest_first`` include created jobs."""
    statuses = {_WAITING, "created"} if mode in {"oldest_first", "newest_first"} else {_WAITING}
    upcoming = [job for job in found if job["status"] in statuses]
    if mode == "unordered":
        return upcoming
    upcoming.sort(key=lambda job: job["status"] == "created")
    return sorted(upcoming, key=lambda job: job["_pipeline"], reverse=mode != "oldest_first")


def _is_before(mode: str, other: Document, job: Document) -> bool:
    """Return whether ``other`` comes before ``job``; within one pipeline GitLab defines no order."""
    if mode == "oldest_first":
        return bool(other["_pipeline"] < job["_pipeline"])
    return mode != "unordered" and bool(other["_pipeline"] > job["_pipeline"])


def _show(group: Document) -> Document:
    return api.public(group, "iid")


def _list(call: Call) -> Any:
    return Page([_show(group) for group in call.store.all(_KIND, project=call.project["id"])])


def _find(call: Call) -> Document:
    return api.require(call.store.find(_KIND, call.path["key"], project=call.project["id"]))


def _one(call: Call) -> Any:
    return _show(_find(call))


def _change(call: Call) -> Any:
    group = _find(call)
    mode = call.choice("process_mode", _MODES, group["process_mode"])
    if mode != group["process_mode"]:
        group = call.store.save(_KIND, group | {"process_mode": mode, "updated_at": clock.timestamp()})
        call.context.wake_pipelines()
    return _show(group)


def _current_job(call: Call) -> Any:
    found = [job for job in _of(call.store, call.project["id"], _find(call)["key"]) if job["status"] in _HOLDING]
    return jobs.show(call.context, call.project, found[0]) if found else api.NULL


def _upcoming_jobs(call: Call) -> Any:
    group = _find(call)
    found = _upcoming(group["process_mode"], _of(call.store, call.project["id"], group["key"]))
    return Page([jobs.show(call.context, call.project, job) for job in found])


_ALL = "/projects/{id}/resource_groups"
_ONE = _ALL + "/{key}"

ROUTES = (
    Route("GET", _ALL, _list, DEVELOPER),
    Route("GET", _ONE, _one, DEVELOPER),
    Route("PUT", _ONE, _change, DEVELOPER),
    Route("GET", _ONE + "/current_job", _current_job, DEVELOPER),
    Route("GET", _ONE + "/upcoming_jobs", _upcoming_jobs, DEVELOPER),
)
