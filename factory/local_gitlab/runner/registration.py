"""Registration of runners, and which jobs a runner takes (docs: Runners API; Configuring runners)."""

import secrets
from collections.abc import Collection
from typing import Any

from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_KIND = "runner"
INSTANCE, PROJECT = "instance_type", "project_type"
_PROTECTED, _ANY = "ref_protected", "not_protected"
# Seconds without a request after which GitLab shows a runner as offline (docs: Runner statuses).
_OFFLINE, _FRESH = 2 * 3600, 60
_SHORTEST_TIMEOUT = 600


def takes(runner: Document, project: int, tags: Collection[str], *, protected: bool) -> bool:
    """Return whether a runner may take a project's job; ``protected`` says whether the job's ref is protected."""
    if runner["paused"] or (runner["runner_type"] == PROJECT and project not in runner["_projects"]):
        return False
    if runner["access_level"] == _PROTECTED and not protected:
        return False
    return set(tags) <= set(runner["tag_list"]) if tags else bool(runner["run_untagged"])


def greet(store: Store, runner: Document) -> Document:
    """Record that a runner contacted the server; return the runner."""
    now = clock.now()
    last = runner["contacted_at"]
    if last is None or (now - clock.parse(last)).total_seconds() > _FRESH:
        runner = store.save(_KIND, runner | {"contacted_at": clock.timestamp()})
    return runner


def _brief(runner: Document) -> Document:
    last = runner["contacted_at"]
    silent = None if last is None else (clock.now() - clock.parse(last)).total_seconds()
    status = "never_contacted" if silent is None else "online" if silent < _OFFLINE else "offline"
    return {
        "id": runner["id"],
        "description": runner["description"],
        "ip_address": "127.0.0.1" if last else "",
        "active": not runner["paused"],
        "paused": runner["paused"],
        "is_shared": runner["runner_type"] == INSTANCE,
        "runner_type": runner["runner_type"],
        "name": "gitlab-runner" if last else None,
        "online": None if silent is None else status == "online",
        "created_at": runner["created_at"],
        "status": status,
        "job_execution_status": "idle",
    }


def _whole(call: Call, runner: Document) -> Document:
    projects = (call.store.get("project", number) for number in runner["_projects"])
    keys = ("id", "name", "name_with_namespace", "path", "path_with_namespace")
    return _brief(runner) | {
        "architecture": None,
        "platform": None,
        "revision": None,
        "version": None,
        "contacted_at": runner["contacted_at"],
        "tag_list": runner["tag_list"],
        "run_untagged": runner["run_untagged"],
        "locked": runner["locked"],
        "maximum_timeout": runner["maximum_timeout"],
        "access_level": runner["access_level"],
        "maintenance_note": runner["maintenance_note"],
        "projects": [{key: project[key] for key in keys} for project in projects if project],
        "groups": [],
    }


def _create(call: Call) -> Any:
    kind = call.choice("runner_type", (INSTANCE, PROJECT), "")
    projects: list[int] = []
    if kind == PROJECT:
        number = call.integer("project_id")
        if _role(call, number) < MAINTAINER:
            raise api.forbidden()
        projects = [number]
    elif not call.user["is_admin"]:
        raise api.forbidden()
    document = {
        "description": None,
        "runner_type": kind,
        "tag_list": [],
        "run_untagged": True,
        "locked": kind == PROJECT,
        "paused": False,
        "access_level": _ANY,
        "maximum_timeout": None,
        "maintenance_note": None,
        "contacted_at": None,
        "created_at": clock.timestamp(),
        "_projects": projects,
    }
    text = _new_token()
    runner = call.store.add(_KIND, _updated(call, document), name=accounts.fingerprint(text))
    return api.Answer({"id": runner["id"], "token": text, "token_expires_at": None}, 201)


def _new_token() -> str:
    return f"glrt-local-{secrets.token_urlsafe(20)}"


def _updated(call: Call, runner: Document) -> Document:
    """Return a runner with the request's changes; raises 400 for invalid values or if it could not take any job."""
    changed = runner | {key: call.flag(key, default=runner[key]) for key in ("run_untagged", "locked", "paused")}
    changed["access_level"] = call.choice("access_level", (_ANY, _PROTECTED), runner["access_level"])
    for key in ("description", "maintenance_note"):
        changed[key] = call.text(key) if key in call.params else runner[key]
    if "tag_list" in call.params:
        changed["tag_list"] = sorted(set(call.strings("tag_list") or []))
    if call.params.get("maximum_timeout") not in (None, ""):
        changed["maximum_timeout"] = call.integer("maximum_timeout")
        if changed["maximum_timeout"] < _SHORTEST_TIMEOUT:
            raise api.invalid({"maximum_timeout": ["needs to be at least 10 minutes"]})
    if not changed["run_untagged"] and not changed["tag_list"]:
        raise api.invalid({"tags_list": ["can not be empty when runner is not allowed to pick untagged jobs"]})
    return changed


def _role(call: Call, number: int) -> int:
    project = call.store.get("project", number)
    return accounts.role_in(call.store, project, call.user, call.token) if project else api.NO_ROLE


def _own(call: Call) -> Document:
    """Return the runner in the path; raises 403 if the caller is not a maintainer of any of its projects."""
    runner = api.require(call.store.get(_KIND, call.iid("runner_id")), "Runner")
    if not call.user["is_admin"] and all(_role(call, number) < MAINTAINER for number in runner["_projects"]):
        raise api.forbidden("No access granted")
    return runner


def _list(call: Call) -> Any:
    kind, tags = call.params.get("type"), set(call.strings("tag_list") or [])
    shared = project_settings.of(call.project)["shared_runners_enabled"]
    found = [
        runner
        for runner in call.store.all(_KIND)
        if (shared if runner["runner_type"] == INSTANCE else call.project["id"] in runner["_projects"])
        and kind in (None, runner["runner_type"])
        and tags <= set(runner["tag_list"])
    ]
    return Page([_brief(runner) for runner in reversed(found)])


def _show(call: Call) -> Any:
    return _whole(call, _own(call))


def _change(call: Call) -> Any:
    return _whole(call, call.store.save(_KIND, _updated(call, _own(call))))


def _delete(call: Call) -> Any:
    call.store.delete(_KIND, _own(call))


def _reset(call: Call) -> Any:
    runner, text = _own(call), _new_token()
    call.store.rename(_KIND, runner, accounts.fingerprint(text))
    return api.Answer({"token": text, "token_expires_at": None}, 201)


_ONE = "/runners/{runner_id}"

ROUTES = (
    Route("POST", "/user/runners", _create, PUBLIC),
    Route("GET", "/projects/{id}/runners", _list, MAINTAINER),
    Route("GET", _ONE, _show, PUBLIC),
    Route("PUT", _ONE, _change, PUBLIC),
    Route("DELETE", _ONE, _delete, PUBLIC),
    Route("POST", _ONE + "/reset_authentication_token", _reset, PUBLIC),
)
