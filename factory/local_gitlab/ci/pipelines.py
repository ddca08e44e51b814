"""Serves the Pipelines API."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ci import child_pipelines, creation, jobs, unit_test_reports
from factory.local_gitlab.definition import checkout
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.projects.ci_variables import VARIABLE_TYPES
from factory.local_gitlab.refs import pipeline_rights
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import DEVELOPER, Answer, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

NO_RIGHTS = "You do not have sufficient permission to run a pipeline on the protected branch"
_PATIENCE, _PAUSE = 90.0, 0.05


def show(context: Context, project: Document, pipeline: Document) -> Document:
    """Return a pipeline as the API shows it."""
    url = f"{context.base_url}/{project['path_with_namespace']}/-/pipelines/{pipeline['id']}"
    status = pipeline["status"]
    return api.public(pipeline) | {
        "user": by_id(context, pipeline["_user"]),
        "web_url": url,
        "duration": _seconds(pipeline["started_at"], pipeline["finished_at"]),
        "queued_duration": _seconds(pipeline["created_at"], pipeline["started_at"]),
        "detailed_status": {
            "icon": f"status_{status}",
            "text": status,
            "label": status,
            "group": status,
            "tooltip": status,
            "has_details": True,
            "details_path": url.removeprefix(context.base_url),
        },
    }


def of_request(context: Context, project: Document, request: Document) -> list[Document]:
    """Return a merge request's pipelines without their children, newest first."""
    found = context.store.all("pipeline", project=project["id"], _request=request["iid"], _bridge=None)
    return list(reversed(found))


def _seconds(start: str | None, end: str | None) -> int | None:
    return int((clock.parse(end) - clock.parse(start)).total_seconds()) if start and end else None


def _list(call: Call) -> Any:
    filters: dict[str, Any] = {
        key: call.params[key] for key in ("sha", "ref", "status", "source") if key in call.params
    }
    if call.params.get("username"):
        filters["_user"] = (call.store.find("user", str(call.params["username"])) or {}).get("id", 0)
    if filters.get("source") != child_pipelines.SOURCE:
        filters["_bridge"] = None  # docs: Pipelines API, list: child pipelines only if asked for
    found = lists.within(call, call.store.all("pipeline", project=call.project["id"], **filters))
    keys = ("id", "status", "ref", "updated_at")
    return Page(lists.ordered(call, found, keys=keys), partial(show, call.context, call.project))


def _pipeline(call: Call) -> Document:
    found = api.require(call.store.get("pipeline", call.iid("pipeline_id")))
    if found["project_id"] != call.project["id"]:
        raise api.not_found()
    return found


def _show(call: Call) -> Any:
    return show(call.context, call.project, _pipeline(call))


def _create(call: Call) -> Any:
    ref = str(call.need("ref"))
    branches, tags = call.context.repository(call.project).heads()
    sha, tag = branches.get(ref) or tags.get(ref), ref not in branches
    if sha is None:
        raise api.bad_request("Reference not found")
    if not pipeline_rights.may_update(call.store, call.project, ref, call.user, call.role, tag=tag):
        raise api.bad_request(NO_RIGHTS)
    variables, files = _requested_variables(call)
    pipeline = creation.create(
        call.context,
        call.project,
        ref=ref,
        sha=sha,
        before=creation.ZERO,
        source="api",
        user=call.user,
        tag=tag,
        variables=variables,
        files=files,
    )
    if pipeline is None:
        raise api.invalid({"base": [creation.FILTERED]})
    return _expanded(call, pipeline["id"])


async def _expanded(call: Call, number: int) -> api.Answer:
    """Answer once the pipeline has its jobs; GitLab keeps no pipeline that a client starts and that has an error."""
    for _ in range(int(_PATIENCE / _PAUSE)):
        found = call.store.get("pipeline", number)
        if found is None or found["_expanded"]:
            break
        await asyncio.sleep(_PAUSE)
    pipeline = api.require(call.store.get("pipeline", number))
    if pipeline["yaml_errors"]:
        with call.store.transaction():
            call.store.delete("pipeline", pipeline)
        raise api.invalid({"base": pipeline["yaml_errors"].splitlines()})
    return api.Answer(show(call.context, call.project, pipeline), 201)


def _requested_variables(call: Call) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a new pipeline by key, and the keys of those that are files."""
    api.refuse_unsupported(call, ("inputs",))
    items = call.params.get("variables") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("key") for item in items):
        raise api.bad_request("variables is invalid", key="error")
    if items:
        project_settings.refuse_variables(call)
    if any(item.get("variable_type", "env_var") not in VARIABLE_TYPES for item in items):
        raise api.bad_request("variables[variable_type] does not have a valid value", key="error")
    files = [str(item["key"]) for item in items if item.get("variable_type") == "file"]
    values = {str(item["key"]): str(item.get("value", "")) for item in items}
    for key, value in values.items():
        if words := checkout.problem(key, value):
            raise api.bad_request(f"{key} {words}")
    return values, files


def _jobs(call: Call) -> Any:
    return _listed(call, jobs.show, bridges=False)


def _bridges(call: Call) -> Any:
    return _listed(call, child_pipelines.show_bridge, bridges=True)


def _listed(call: Call, shown: Callable[[Context, Document, Document], Document], *, bridges: bool) -> Page:
    found = call.store.all("job", project=call.project["id"], _pipeline=_pipeline(call)["id"])
    hidden = not call.flag("include_retried")
    scope = call.strings("scope")
    return Page(
        [
            shown(call.context, call.project, job)
            for job in reversed(found)
            if jobs.is_bridge(job) == bridges
            and not (hidden and job["_retried"])
            and (scope is None or job["status"] in scope)
        ]
    )


def _cancel(call: Call) -> Any:
    pipeline = _pipeline(call)
    pipeline_rights.need(call, pipeline)
    for job in call.store.all("job", project=call.project["id"], _pipeline=pipeline["id"]):
        child_pipelines.cancel(call.store, job)
    call.context.wake_pipelines()
    return show(call.context, call.project, pipeline)


def _retry(call: Call) -> Any:
    pipeline = _pipeline(call)
    pipeline_rights.need(call, pipeline)
    latest = jobs.latest(call.store, pipeline)
    for job in latest:
        if job["status"] in {"failed", "canceled"}:
            jobs.again(call.store, job, call.user)
    jobs.reopen(call.store, pipeline["id"])
    call.context.wake_pipelines()
    return api.Answer(show(call.context, call.project, _pipeline(call)), 201)


def _variables(call: Call) -> Any:
    pipeline = _pipeline(call)
    files = pipeline.get("_files", [])
    return Page(
        [
            {"key": key, "value": value, "variable_type": "file" if key in files else "env_var", "raw": False}
            for key, value in pipeline.get("_variables", {}).items()
        ]
    )


def _test_report(call: Call) -> Any:
    found = jobs.latest(call.store, _pipeline(call))
    return _off_the_loop([(job["name"], call.context.artifact(job, "junit")) for job in found])


async def _off_the_loop(reports: list[tuple[str, Path]]) -> Answer:
    body = await asyncio.to_thread(unit_test_reports.encoded, reports)
    return Answer(body, headers={"Content-Type": "application/json"})


_PIPELINES = "/projects/{id}/pipelines"

ROUTES = (
    Route("GET", _PIPELINES, _list),
    Route("POST", "/projects/{id}/pipeline", _create, DEVELOPER),
    Route("GET", _PIPELINES + "/{pipeline_id}", _show),
    Route("GET", _PIPELINES + "/{pipeline_id}/jobs", _jobs),
    Route("GET", _PIPELINES + "/{pipeline_id}/bridges", _bridges),
    Route("GET", _PIPELINES + "/{pipeline_id}/variables", _variables, DEVELOPER),
    Route("GET", _PIPELINES + "/{pipeline_id}/test_report", _test_report),
    Route("POST", _PIPELINES + "/{pipeline_id}/cancel", _cancel, DEVELOPER),
    Route("POST", _PIPELINES + "/{pipeline_id}/retry", _retry, DEVELOPER),
)
