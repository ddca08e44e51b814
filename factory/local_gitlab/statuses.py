"""Commit statuses set from outside (docs: Commits API, commit status)."""

from typing import Any

from factory.local_gitlab import web as api
from factory.local_gitlab.accounts import by_id
from factory.local_gitlab.store import Document
from factory.local_gitlab.web import DEVELOPER, Call, Page, Route
from factory.system import clock

_STATES = {"pending", "running", "success", "failed", "canceled", "skipped"}


def _sha(call: Call) -> str:
    sha = call.context.repository(call.project).resolve(call.path["sha"])
    if sha is None:
        raise api.not_found("Commit")
    return sha


def _show(call: Call, status: Document) -> Document:
    return api.public(status, "iid") | {"author": by_id(call.context, status["_author"])}


def _create(call: Call) -> Any:
    state = str(call.need("state"))
    if state not in _STATES:
        raise api.bad_request("state does not have a valid value", key="error")
    sha = _sha(call)
    name = str(call.params.get("name") or call.params.get("context") or "default")
    document = {
        "sha": sha,
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
    for old in call.store.all("status", project=call.project["id"], sha=sha, name=name):
        call.store.delete("status", old)
    return api.Answer(_show(call, call.store.add("status", document, project=call.project["id"], name=name)), 201)


def _list(call: Call) -> Any:
    found = call.store.all("status", project=call.project["id"], sha=_sha(call))
    return Page([_show(call, item) for item in found])


ROUTES = (
    Route("POST", "/projects/{id}/statuses/{sha}", _create, DEVELOPER),
    Route("GET", "/projects/{id}/repository/commits/{sha}/statuses", _list),
)
