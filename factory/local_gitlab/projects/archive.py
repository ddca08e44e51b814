"""Archived projects, whose content is read-only (docs: Archive a project)."""

import re

from factory.local_gitlab.projects import projects
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import OWNER, Call, Route
from factory.local_gitlab.serving.store import Document

# Members, variables, protection and settings of an archived project still change.
_READ_ONLY = re.compile(
    r"/projects/{id}/(?:{noteable}|deployments|environments|issues|jobs|labels|merge_requests|milestones|packages|"
    r"pipeline|pipelines|pipeline_schedules|releases|repository|statuses|terraform)(?:/|$)"
)
_COMMITS = ("/projects/{id}/repository/commits", "/projects/{id}/repository/files")


def refuse_writes(project: Document, route: Route) -> None:
    """Raise 403 if a route changes the content of an archived project."""
    if project["archived"] and route.method != "GET" and _READ_ONLY.match(route.path):
        pushes = route.path.startswith(_COMMITS)
        raise api.forbidden("You are not allowed to push into this branch" if pushes else "")


def _set(call: Call, *, archived: bool) -> api.Answer:
    project = call.store.save("project", call.project | {"archived": archived})
    return api.Answer(projects.show(call.context, project), 201)


def _archive(call: Call) -> api.Answer:
    return _set(call, archived=True)


def _unarchive(call: Call) -> api.Answer:
    return _set(call, archived=False)


ROUTES = (
    Route("POST", "/projects/{id}/archive", _archive, OWNER),
    Route("POST", "/projects/{id}/unarchive", _unarchive, OWNER),
)
