"""Environments, deployments and their approval (docs: Deployment approvals)."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from factory.local_gitlab.accounts.access_levels import grants
from factory.local_gitlab.accounts.accounts import brief, by_id
from factory.local_gitlab.ci.variables import of_url
from factory.local_gitlab.definition.variables import environment_slug, substitute
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import DEVELOPER, NO_ROLE, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_TIERS = (
    ("dev|review|trunk", "development"),
    ("test|tst|int|ac(?:ce|)pt|qa|qc|control|quality", "testing"),
    ("st(?:a|)g|mod(?:e|)l|pre|demo|non", "staging"),
    ("pr(?:o|)d|live", "production"),
)
# docs: Environments API, list environments.
_SHORTEST_SEARCH = 3
_FOLLOWS = {"success": "success", "failed": "failed", "canceled": "canceled", "skipped": "skipped"}


def ensure(store: Store, project: int, name: str, url: str | None = None, tier: str | None = None) -> Document:
    """Return a project's environment; creates it if it is missing."""
    found = store.find("environment", name, project=project)
    if found is None:
        now = clock.timestamp()
        document = {
            "name": name,
            "slug": environment_slug(name),
            "description": None,
            "external_url": url,
            "created_at": now,
            "updated_at": now,
            "tier": tier or usual_tier(name),
            "state": "available",
            "auto_stop_at": None,
            "auto_stop_setting": "always",
        }
        return store.add("environment", document, project=project, name=name)
    new = {key: value for key, value in (("external_url", url), ("tier", tier)) if value}
    return store.save("environment", found | new) if new.items() - found.items() else found


def show_address(context: Context, job: Document, reported: Mapping[str, str]) -> None:
    """Set the address of a job's environment from its ``url``; ``reported`` are the variables of its dotenv report."""
    keyword = job["_spec"].get("environment")
    url = keyword.get("url") if isinstance(keyword, dict) else None
    if url:
        address = substitute(str(url), of_url(context, job, reported))
        ensure(context.store, job["_project"], job["_environment"], address)


def usual_tier(name: str) -> str:
    """Return the deployment tier of an environment without one of its own (docs: Deployment tier of environments)."""
    return next((tier for pattern, tier in _TIERS if re.search(pattern, name, re.IGNORECASE)), "other")


def deploy(store: Store, job: Document) -> None:
    """Create the deployment of a job; it is blocked while a protected environment requires approvals.

    A job that prepares, verifies, accesses or stops an environment creates no deployment (docs: environment:action).
    """
    keyword = job["_spec"]["environment"]
    if isinstance(keyword, dict) and keyword.get("action", "start") != "start":
        ensure(store, job["_project"], job["_environment"])
        return
    pipeline = store.get("pipeline", job["_pipeline"]) or {}
    now = clock.timestamp()
    needed = _needed(store, job["_project"], job["_environment"])
    document = {
        "ref": pipeline["ref"],
        "sha": pipeline["sha"],
        "created_at": now,
        "updated_at": now,
        "status": "blocked" if needed else "created",
        "pending_approval_count": needed,
        "approvals": [],
        "_environment": ensure(store, job["_project"], job["_environment"])["id"],
        "_job": job["id"],
        "_user": pipeline["_user"],
    }
    deployment = store.add("deployment", document, project=job["_project"])
    job["_deployment"] = deployment["id"]
    store.save("job", job)


def follow_job(store: Store, job: Document) -> None:
    """Set the status of a job's deployment from the job's status."""
    if job["_deployment"] is None:
        return
    deployment = store.get("deployment", job["_deployment"])
    status = "running" if job["status"] == "running" else _FOLLOWS.get(job["status"])
    if deployment and status and deployment["status"] != status:
        store.save("deployment", deployment | {"status": status, "updated_at": clock.timestamp()})


def is_blocked(store: Store, job: Document) -> bool:
    """Return whether a job's deployment waits for approval; until then the job is manual, whatever its ``when``."""
    deployment = store.get("deployment", job["_deployment"]) if job["_deployment"] else None
    return deployment is not None and deployment["status"] == "blocked"


def refuse_unless_may_deploy(call: Call, job: Document) -> None:
    """Raise 403 if a protected environment refuses the user, 400 while the deployment waits for approval."""
    if not job["_environment"]:
        return
    rule = call.store.find("protected_environment", job["_environment"], project=call.project["id"])
    if rule is None:
        return
    if not _allows(call, rule["deploy_access_levels"]):
        raise api.forbidden()
    if is_blocked(call.store, job):
        raise api.bad_request("Unplayable Job")


def _needed(store: Store, project: int, environment: str) -> int:
    rule = store.find("protected_environment", environment, project=project)
    if rule is None:
        return 0
    by_rules = sum(item["required_approvals"] for item in rule["approval_rules"])
    return int(by_rules or rule["required_approval_count"])


def _allows(call: Call, levels: list[Document]) -> bool:
    """Return whether a protected environment's access levels cover the caller, whose role may be a lower one."""
    return grants(call.store, levels, call.user, call.role, least=NO_ROLE)


def _environments(call: Call) -> Any:
    name, search = call.params.get("name"), call.text("search") or ""
    states = call.params.get("states")
    if name and search:
        raise api.bad_request("name, search cannot be used together", key="error")
    if 0 < len(search) < _SHORTEST_SEARCH:
        raise api.bad_request(f"Search query is less than {_SHORTEST_SEARCH} characters")
    found = [
        item
        for item in call.store.all("environment", project=call.project["id"])
        if name in (None, item["name"]) and search.lower() in item["name"].lower() and states in (None, item["state"])
    ]
    return Page(found, partial(_environment, call))


def _environment(call: Call, item: Document) -> Document:
    last = [
        deployment
        for deployment in call.store.all("deployment", project=call.project["id"], _environment=item["id"])
        if deployment["status"] == "success"
    ]
    return api.public(item, "iid") | {"last_deployment": _deployment(call, last[-1]) if last else None}


def _create_environment(call: Call) -> Any:
    name = str(call.need("name"))
    if call.store.find("environment", name, project=call.project["id"]):
        raise api.invalid({"name": ["has already been taken"]})
    environment = ensure(call.store, call.project["id"], name, call.params.get("external_url"))
    return api.Answer(_environment(call, environment), 201)


def _find_environment(call: Call) -> Document:
    found = api.require(call.store.get("environment", call.iid("environment_id")))
    if call.store.by_iid("environment", call.project["id"], found["iid"]) != found:
        raise api.not_found()
    return found


def _show_environment(call: Call) -> Any:
    return _environment(call, _find_environment(call))


def _stop(call: Call) -> Any:
    environment = _find_environment(call)
    rule = call.store.find("protected_environment", environment["name"], project=call.project["id"])
    if rule is not None and not _allows(call, rule["deploy_access_levels"]):
        raise api.forbidden()
    return _environment(call, call.store.save("environment", environment | {"state": "stopped"}))


def _deployments(call: Call) -> Any:
    status, name = call.params.get("status"), call.params.get("environment")
    stored = lists.within(call, call.store.all("deployment", project=call.project["id"]), ("updated",))
    keys = ("id", "iid", "created_at", "updated_at")
    found = [_deployment(call, item) for item in lists.ordered(call, stored, keys=keys, descending=False)]
    return Page(
        [item for item in found if status in (None, item["status"]) and name in (None, item["environment"]["name"])]
    )


def _deployment(call: Call, item: Document) -> Document:
    environment = call.store.get("environment", item["_environment"]) or {}
    job = call.store.get("job", item["_job"]) or {}
    pipeline = call.store.get("pipeline", job["_pipeline"]) or {}
    return api.public(item) | {
        "user": by_id(call.context, item["_user"]),
        "environment": {key: environment[key] for key in ("id", "name", "slug", "external_url")},
        "deployable": {
            **{key: job[key] for key in ("id", "name", "stage", "status", "created_at", "started_at", "finished_at")},
            "ref": pipeline["ref"],
            "tag": pipeline["tag"],
            "pipeline": {key: pipeline[key] for key in ("id", "iid", "sha", "ref", "status", "source")},
        },
    }


def _find_deployment(call: Call) -> Document:
    found = api.require(call.store.get("deployment", call.iid("deployment_id")))
    own = call.store.by_iid("deployment", call.project["id"], found["iid"])
    if own != found:
        raise api.not_found()
    return found


def _show_deployment(call: Call) -> Any:
    return _deployment(call, _find_deployment(call))


def _approve(call: Call) -> Any:
    api.need_premium(call)
    deployment = _find_deployment(call)
    status = str(call.need("status"))
    if status not in {"approved", "rejected"}:
        raise api.bad_request("status does not have a valid value", key="error")
    environment = call.store.get("environment", deployment["_environment"]) or {}
    rule = call.store.find("protected_environment", environment["name"], project=call.project["id"])
    if rule is None or deployment["status"] != "blocked":
        raise api.bad_request("This deployment is not waiting for approvals.")
    if deployment["_user"] == call.user["id"]:
        raise api.bad_request("You cannot approve your own deployment.")
    if not _allows(call, rule["approval_rules"] or rule["deploy_access_levels"]):
        raise api.bad_request("You don't have permission to approve this deployment.")
    approval = {
        "user": brief(call.context, call.user),
        "status": status,
        "created_at": clock.timestamp(),
        "comment": str(call.params.get("comment") or ""),
    }
    others = [item for item in deployment["approvals"] if item["user"]["id"] != call.user["id"]]
    deployment["approvals"] = [*others, approval]
    _count(call.store, deployment, _needed(call.store, call.project["id"], environment["name"]))
    return api.Answer(approval, 201)


def _count(store: Store, deployment: Document, needed: int) -> None:
    approved = sum(item["status"] == "approved" for item in deployment["approvals"])
    rejected = any(item["status"] == "rejected" for item in deployment["approvals"])
    deployment["pending_approval_count"] = max(0, needed - approved)
    if not rejected and approved >= needed:
        deployment["status"] = "created"
    store.save("deployment", deployment)


ROUTES = (
    Route("GET", "/projects/{id}/environments", _environments),
    Route("POST", "/projects/{id}/environments", _create_environment, DEVELOPER),
    Route("GET", "/projects/{id}/environments/{environment_id}", _show_environment),
    Route("POST", "/projects/{id}/environments/{environment_id}/stop", _stop, DEVELOPER),
    Route("GET", "/projects/{id}/deployments", _deployments),
    Route("GET", "/projects/{id}/deployments/{deployment_id}", _show_deployment),
    Route("POST", "/projects/{id}/deployments/{deployment_id}/approval", _approve),
)
