"""Controls which other projects' job tokens have access to a project (docs: CI/CD job token scope API)."""

from typing import Any

from factory.local_gitlab.accounts.accounts import job_token_scope, role_in
from factory.local_gitlab.projects import projects
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, NO_ROLE, Call, Page, Route
from factory.local_gitlab.serving.store import Document

_DETAILS = (*projects.SIMPLE, "visibility")


def _save(call: Call, scope: Document) -> None:
    call.store.save("project", call.project | {"_job_token": scope})


def _show(call: Call) -> Any:
    return {"inbound_enabled": job_token_scope(call.project)["inbound"], "outbound_enabled": False}


def _change(call: Call) -> Any:
    call.need("enabled")
    _save(call, job_token_scope(call.project) | {"inbound": call.flag("enabled")})


def _allowlist(call: Call) -> Any:
    """Return the project itself and the projects of its allowlist."""
    numbers = [call.project["id"], *job_token_scope(call.project)["allowlist"]]
    found = [call.store.get("project", number) for number in numbers]
    shown = [projects.show(call.context, project) for project in found if project is not None]
    return Page([{key: project[key] for key in _DETAILS} for project in shown])


def _target(call: Call, reference: str) -> int:
    """Return the id of a project; raises 404 if the caller can't see it."""
    project = projects.find(call.context, reference)
    if project is None or role_in(call.store, project, call.user, call.token) == NO_ROLE:
        raise api.not_found("Project")
    return int(project["id"])


def _add(call: Call) -> Any:
    scope = job_token_scope(call.project)
    number = _target(call, str(call.integer("target_project_id")))
    if number == call.project["id"]:
        raise api.bad_request("Validation failed: Target project can't be the same as the source project")
    if number in scope["allowlist"]:
        raise api.bad_request("Target project is already in the job token scope")
    _save(call, scope | {"allowlist": [*scope["allowlist"], number]})
    return api.Answer({"source_project_id": call.project["id"], "target_project_id": number}, 201)


def _remove(call: Call) -> Any:
    scope = job_token_scope(call.project)
    number = _target(call, str(call.iid("target_project_id")))
    if number == call.project["id"]:
        raise api.bad_request("Source project cannot be removed from the job token scope")
    if number not in scope["allowlist"]:
        raise api.bad_request("Target project is not in the job token scope")
    _save(call, scope | {"allowlist": [other for other in scope["allowlist"] if other != number]})


_SCOPE = "/projects/{id}/job_token_scope"

ROUTES = (
    Route("GET", _SCOPE, _show, MAINTAINER),
    Route("PATCH", _SCOPE, _change, MAINTAINER),
    Route("GET", _SCOPE + "/allowlist", _allowlist, MAINTAINER),
    Route("POST", _SCOPE + "/allowlist", _add, MAINTAINER),
    Route("DELETE", _SCOPE + "/allowlist/{target_project_id}", _remove, MAINTAINER),
)
