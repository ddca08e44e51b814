"""Creates pipelines and serves the Pipelines API."""

import asyncio
import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from factory.errors import InvalidInput
from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ci import jobs, pipeline_rights, unit_test_reports
from factory.local_gitlab.ci.variables import before_jobs
from factory.local_gitlab.definition import checkout, conditions, source_files
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.projects.ci_variables import VARIABLE_TYPES
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import DEVELOPER, Answer, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

ZERO = "0" * 40
FILTERED = "Pipeline filtered out by workflow rules."
NO_RIGHTS = "You do not have sufficient permission to run a pipeline on the protected branch"
_PATIENCE, _PAUSE = 90.0, 0.05
# GitLab docs: Pipelines, skip a pipeline: the message of the pushed commit decides.
_SKIP = re.compile(r"\[(?:ci[ _-]skip|skip[ _-]ci)\]", re.IGNORECASE)
_SKIPPABLE = {"push", "merge_request_event"}


def create(
    context: Context,
    project: Document,
    *,
    ref: str,
    sha: str,
    before: str,
    source: str,
    user: Document,
    tag: bool = False,
    request: Document | None = None,
    variables: Mapping[str, str] | None = None,
    files: Collection[str] = (),
    schedule: int | None = None,
) -> Document | None:
    """Create a pipeline; returns ``None`` if the definition is missing or its ``workflow:rules`` exclude the pipeline.

    ``ref`` is a branch, with ``tag`` a tag; ``schedule`` is the id of its schedule; jobs get the variables ``files`` as
    files. An invalid definition results in a failed pipeline with ``yaml_errors``, as in GitLab.
    """
    location = _definition(context, project, sha)
    if location is None:
        return None
    now = clock.timestamp()
    draft: Document = {
        "project_id": project["id"],
        "sha": sha,
        "before_sha": before,
        "ref": ref,
        "tag": tag,
        "status": "created",
        "source": source,
        "yaml_errors": None,
        "created_at": now,
        "updated_at": now,
        "started_at": None,
        "finished_at": None,
        "committed_at": None,
        "coverage": None,
        "name": None,
        "_user": user["id"],
        "_request": request["iid"] if request else None,
        "_schedule": schedule,
        "_config": {"file": location[0], "sha": location[1]},
        "_variables": dict(variables or {}),
        "_files": list(files),
        "_workflow": {},
        "_expanded": False,
    }
    try:
        if (workflow := admitted(context, project, draft)) is None:
            return None
        draft["_workflow"] = workflow
        if source in _SKIPPABLE and _SKIP.search(context.repository(project).one(sha)["message"]):
            draft |= {"status": "skipped", "finished_at": now, "_expanded": True}
    except InvalidInput as error:
        draft |= {"status": "failed", "yaml_errors": str(error), "finished_at": now, "_expanded": True}
    pipeline = context.store.add("pipeline", draft, project=project["id"])
    context.wake_pipelines()
    return pipeline


def admitted(context: Context, project: Document, draft: Document) -> dict[str, str] | None:
    """Return the variables of the matching workflow rule, or ``None`` if the pipeline must not be created."""
    name, sha = draft["_config"]["file"], draft["_config"]["sha"]
    definition = source_files.read(context.repository(project), sha, name)
    if definition is None:
        return None
    return conditions.admitted(source_files.workflow_rules(definition, name), before_jobs(context, project, draft))


def is_defined(context: Context, project: Document, sha: str) -> bool:
    """Return whether a commit has a definition of pipelines."""
    location = _definition(context, project, sha)
    return location is not None and context.repository(project).read(location[1], location[0]) is not None


def _definition(context: Context, project: Document, sha: str) -> tuple[str, str] | None:
    """Return the definition's file and commit."""
    name, path, ref = source_files.parse_config_path(project["ci_config_path"])
    if path is None:
        return name, sha
    if path != project["path_with_namespace"]:
        return None
    config_sha = context.repository(project).resolve(ref or project["default_branch"])
    return None if config_sha is None else (name, config_sha)


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
    """Return a merge request's pipelines, newest first."""
    found = context.store.all("pipeline", project=project["id"], _request=request["iid"])
    return list(reversed(found))


def _seconds(start: str | None, end: str | None) -> int | None:
    return int((clock.parse(end) - clock.parse(start)).total_seconds()) if start and end else None


def _list(call: Call) -> Any:
    filters: dict[str, Any] = {
        key: call.params[key] for key in ("sha", "ref", "status", "source") if key in call.params
    }
    if call.params.get("username"):
        filters["_user"] = (call.store.find("user", str(call.params["username"])) or {}).get("id", 0)
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
    pipeline = create(
        call.context,
        call.project,
        ref=ref,
        sha=sha,
        before=ZERO,
        source="api",
        user=call.user,
        tag=tag,
        variables=variables,
        files=files,
    )
    if pipeline is None:
        raise api.invalid({"base": [FILTERED]})
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
    pipeline = _pipeline(call)
    found = call.store.all("job", project=call.project["id"], _pipeline=pipeline["id"])
    hidden = not call.flag("include_retried")
    scope = call.strings("scope")
    return Page(
        [
            jobs.show(call.context, call.project, job)
            for job in reversed(found)
            if not (hidden and job["_retried"]) and (scope is None or job["status"] in scope)
        ]
    )


def _cancel(call: Call) -> Any:
    pipeline = _pipeline(call)
    pipeline_rights.need(call, pipeline)
    for job in call.store.all("job", project=call.project["id"], _pipeline=pipeline["id"]):
        jobs.cancel(call.store, job)
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
    Route("GET", _PIPELINES + "/{pipeline_id}/variables", _variables, DEVELOPER),
    Route("GET", _PIPELINES + "/{pipeline_id}/test_report", _test_report),
    Route("POST", _PIPELINES + "/{pipeline_id}/cancel", _cancel, DEVELOPER),
    Route("POST", _PIPELINES + "/{pipeline_id}/retry", _retry, DEVELOPER),
)
