"""Pipeline schedules: their API, and the start of due pipelines (docs: Pipeline schedules API).

A schedule stores the time of its next run. After a downtime a schedule runs once, however many runs were missed. A
scheduled pipeline belongs to the schedule's owner, a played one to the user who played it.
"""

import re
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim, CronSimError

from factory.errors import FactoryError, InvalidInput
from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.ci import creation, pipelines, schedule_inputs, time_zones
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.projects.ci_variables import VARIABLE_TYPES
from factory.local_gitlab.refs import pipeline_rights
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import ADMIN, DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, log

_KIND = "pipeline_schedule"
_HEADS = "refs/heads/"
_FIELDS = 5
_KEY = re.compile(r"[A-Za-z0-9_]{1,255}")
_WRONG = "is invalid syntax"


def next_run(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first time after ``after``, in UTC, that matches a cron expression of five fields.

    Raises ``InvalidInput`` for an invalid expression, for one that never matches, and for an unknown time zone.
    """
    zone = time_zones.zone(timezone)
    if len(cron.split()) != _FIELDS:
        raise InvalidInput(f"the cron expression {cron!r} does not have five fields")
    try:
        return next(CronSim(cron, after.astimezone(zone))).astimezone(UTC)
    except (CronSimError, StopIteration) as error:
        raise InvalidInput(f"the cron expression {cron!r} is invalid or never matches") from error


def start_due(context: Context) -> None:
    """Start one pipeline for each active schedule that is due, and set the schedule's next run."""
    now = clock.now()
    for schedule in context.store.all(_KIND, active=True):
        if clock.parse(schedule["next_run_at"]) > now:
            continue
        with context.store.transaction():
            due = next_run(schedule["cron"], schedule["cron_timezone"], now)
            context.store.save(_KIND, schedule | {"next_run_at": clock.iso(due)})
            _start_for_owner(context, schedule)


def _start_for_owner(context: Context, schedule: Document) -> None:
    project = context.store.get("project", schedule["_project"]) or {}
    owner = context.store.get("user", schedule["_owner"]) or {}
    role = accounts.role_in(context.store, project, owner, {"_project": 0, "access_level": None})
    reason = ""
    if (
        project["archived"]
        or owner["state"] != "active"
        or not _may_run(context, project, schedule["ref"], owner, role)
    ):
        reason = "its owner may not run pipelines on its branch"
    else:
        try:
            if _start(context, project, schedule, owner) is None:
                reason = (
                    "its branch or definition is missing, its inputs are not declared, or workflow rules exclude it"
                )
        except FactoryError as error:
            reason = str(error)
    if reason:
        log.event("schedule started no pipeline", schedule=schedule["id"], reason=reason)


def _start(context: Context, project: Document, schedule: Document, user: Document) -> Document | None:
    branch = schedule["ref"].removeprefix(_HEADS)
    sha = context.repository(project).branches().get(branch)
    if sha is None or schedule.get("_inputs"):
        return None
    return creation.create(
        context,
        project,
        ref=branch,
        sha=sha,
        before=creation.ZERO,
        source="schedule",
        user=user,
        variables={item["key"]: item["value"] for item in schedule["_variables"]},
        files=[item["key"] for item in schedule["_variables"] if item["variable_type"] == "file"],
        schedule=schedule["id"],
    )


def _may_run(context: Context, project: Document, ref: str, user: Document, role: int) -> bool:
    """Return whether a user may run pipelines on a branch: needs Developer, and push or merge rights to the branch."""
    branch = ref.removeprefix(_HEADS)
    may = pipeline_rights.may_update(context.store, project, branch, user, role, tag=False)
    return role >= DEVELOPER and (role == ADMIN or may)


def _full(ref: str) -> str:
    return ref if ref.startswith("refs/") else _HEADS + ref


def _show(call: Call, schedule: Document) -> Document:
    return api.public(schedule, "iid") | {"owner": accounts.by_id(call.context, schedule["_owner"])}


def _details(call: Call, schedule: Document) -> Document:
    """Return a schedule with its last pipeline; only its owner and maintainers see its variables."""
    found = _pipelines(call, schedule)
    shown = _show(call, schedule) | {"last_pipeline": found[-1] if found else None}
    if _administers(call, schedule):
        shown |= {"variables": schedule["_variables"], "inputs": schedule.get("_inputs", [])}
    return shown


def _pipelines(call: Call, schedule: Document) -> list[Document]:
    keys = ("id", "iid", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at", "web_url")
    found = call.store.all("pipeline", project=call.project["id"], _schedule=schedule["id"])
    shown = [pipelines.show(call.context, call.project, item) for item in found]
    return [{key: item[key] for key in keys} for item in shown]


def _find(call: Call) -> Document:
    found = api.require(call.store.get(_KIND, call.iid("schedule_id")), "Pipeline Schedule")
    if found["_project"] != call.project["id"]:
        raise api.not_found("Pipeline Schedule")
    return found


def _administers(call: Call, schedule: Document) -> bool:
    return call.role >= MAINTAINER or (call.role >= DEVELOPER and schedule["_owner"] == call.user["id"])


def _administered(call: Call) -> Document:
    """Return the schedule; raises 403 if the caller is neither its owner nor a maintainer."""
    schedule = _find(call)
    if not _administers(call, schedule):
        raise api.forbidden()
    return schedule


def _changeable(call: Call) -> Document:
    """Return the schedule; raises 403 if the caller is not its owner, because it runs with the owner's rights."""
    schedule = _find(call)
    if call.role != ADMIN and schedule["_owner"] != call.user["id"]:
        raise api.forbidden()
    return schedule


def _require_branch(call: Call, ref: str) -> None:
    if not _may_run(call.context, call.project, ref, call.user, call.role):
        raise api.forbidden()


def _timed(schedule: Document) -> Document:
    """Return a schedule with the time of its next run; raises 400 with the field that is invalid."""
    for field, cron, zone in (
        ("cron_timezone", "0 0 * * *", schedule["cron_timezone"]),
        ("cron", schedule["cron"], schedule["cron_timezone"]),
    ):
        try:
            due = next_run(cron, zone, clock.now())
        except InvalidInput:
            raise api.invalid({field: [_WRONG]}) from None
    return schedule | {"next_run_at": clock.iso(due), "updated_at": clock.timestamp()}


def _list(call: Call) -> Any:
    scope = call.params.get("scope")
    found = call.store.all(_KIND, project=call.project["id"])
    states = {"active": (True,), "inactive": (False,)}.get(str(scope), (True, False))
    return Page([_show(call, item) for item in found if item["active"] in states])


def _show_one(call: Call) -> Any:
    return _details(call, _find(call))


def _create(call: Call) -> Any:
    fields = {key: str(call.need(key)) for key in ("description", "ref", "cron")}
    _require_branch(call, _full(fields["ref"]))
    document = _timed(
        {
            "description": fields["description"],
            "ref": _full(fields["ref"]),
            "cron": fields["cron"].strip(),
            "cron_timezone": str(call.params.get("cron_timezone") or "UTC"),
            "next_run_at": None,
            "active": call.flag("active", default=True),
            "created_at": clock.timestamp(),
            "updated_at": None,
            "_project": call.project["id"],
            "_owner": call.user["id"],
            "_variables": [],
            "_inputs": schedule_inputs.changed(call, []),
        }
    )
    return api.Answer(_details(call, call.store.add(_KIND, document, project=call.project["id"])), 201)


def _change(call: Call) -> Any:
    schedule = _changeable(call)
    for key in ("description", "cron", "cron_timezone"):
        schedule[key] = str(call.params.get(key) or schedule[key]).strip()
    schedule["ref"] = _full(str(call.params.get("ref") or schedule["ref"]))
    schedule["active"] = call.flag("active", default=schedule["active"])
    schedule["_inputs"] = schedule_inputs.changed(call, schedule.get("_inputs", []))
    _require_branch(call, schedule["ref"])
    return _details(call, call.store.save(_KIND, _timed(schedule)))


def _delete(call: Call) -> Any:
    call.store.delete(_KIND, _administered(call))


def _take_ownership(call: Call) -> Any:
    schedule = _administered(call)
    status = 200 if schedule["_owner"] == call.user["id"] else 201
    return api.Answer(_details(call, call.store.save(_KIND, schedule | {"_owner": call.user["id"]})), status)


def _play(call: Call) -> Any:
    schedule = _find(call)
    _require_branch(call, schedule["ref"])
    _start(call.context, call.project, schedule, call.user)
    return api.Answer({"message": "201 Created"}, 201)


def _list_pipelines(call: Call) -> Any:
    found = _pipelines(call, _find(call))
    return Page(found[::-1] if call.params.get("sort") == "desc" else found)


def _create_variable(call: Call) -> Any:
    if not project_settings.may_give_variables(call):
        raise api.forbidden()
    schedule, key = _changeable(call), str(call.need("key"))
    if not _KEY.fullmatch(key):
        raise api.invalid({"key": ["can contain only letters, digits and '_'."]})
    if any(item["key"] == key for item in schedule["_variables"]):
        raise api.invalid({"key": ["has already been taken"]})
    value = call.params["value"] if "value" in call.params else call.need("value")
    kind = call.choice("variable_type", VARIABLE_TYPES, "env_var")
    item = {"key": key, "value": str(value), "variable_type": kind, "raw": False}
    schedule["_variables"].append(item)
    call.store.save(_KIND, schedule)
    return api.Answer(item, 201)


def _change_variable(call: Call) -> Any:
    if not project_settings.may_give_variables(call):
        raise api.forbidden()
    schedule = _changeable(call)
    item = _variable(call, schedule)
    kind = call.choice("variable_type", VARIABLE_TYPES, item["variable_type"])
    item |= {"value": str(call.params.get("value", item["value"])), "variable_type": kind}
    call.store.save(_KIND, schedule)
    return item


def _delete_variable(call: Call) -> Any:
    schedule = _administered(call)
    item = _variable(call, schedule)
    schedule["_variables"].remove(item)
    call.store.save(_KIND, schedule)
    return api.Answer(item, 202)


def _variable(call: Call, schedule: Document) -> Document:
    found = next((item for item in schedule["_variables"] if item["key"] == call.path["key"]), None)
    return api.require(found, "Pipeline Schedule Variable")


_ALL = "/projects/{id}/pipeline_schedules"
_ONE = _ALL + "/{schedule_id}"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("POST", _ALL, _create, DEVELOPER),
    Route("GET", _ONE, _show_one),
    Route("PUT", _ONE, _change, DEVELOPER),
    Route("DELETE", _ONE, _delete, DEVELOPER),
    Route("POST", _ONE + "/take_ownership", _take_ownership, DEVELOPER),
    Route("POST", _ONE + "/play", _play, DEVELOPER),
    Route("GET", _ONE + "/pipelines", _list_pipelines),
    Route("POST", _ONE + "/variables", _create_variable, DEVELOPER),
    Route("PUT", _ONE + "/variables/{key}", _change_variable, DEVELOPER),
    Route("DELETE", _ONE + "/variables/{key}", _delete_variable, DEVELOPER),
)
