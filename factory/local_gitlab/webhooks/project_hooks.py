"""Project webhooks: the events of each, its filters and its state (docs: Project webhooks API)."""

import re
import secrets
from typing import Any

from factory.local_gitlab.projects import application_settings
from factory.local_gitlab.refs.ref_names import covers
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock

KIND = "hook"
# The values are the defaults of a new hook.
_EVENTS = {
    "push_events": True,
    **dict.fromkeys(
        (
            "tag_push_events",
            "merge_requests_events",
            "issues_events",
            "confidential_issues_events",
            "note_events",
            "confidential_note_events",
            "pipeline_events",
            "wiki_page_events",
            "deployment_events",
            "feature_flag_events",
            "job_events",
            "releases_events",
            "milestone_events",
            "emoji_events",
            "resource_access_token_events",
            "repository_update_events",
        ),
        False,
    ),
}
_FLAGS = {**_EVENTS, "enable_ssl_verification": True}
# GitLab docs: Webhooks, auto-disabled webhooks: this many consecutive failures disable a hook permanently.
_PERMANENT_FAILURES = 40
_STRATEGIES = ("wildcard", "regex", "all_branches")


def _show(hook: Document) -> Document:
    """Return a hook as the API shows it, without its token."""
    until = hook["disabled_until"] if is_disabled(hook) else None
    status = "executable" if not is_disabled(hook) else "temporarily_disabled" if until else "disabled"
    state: Document = {"alert_status": status, "disabled_until": until, "url_variables": []}
    return api.public(hook, "iid") | state | {"token_present": bool(hook["_token"]), "signing_token_present": False}


def is_disabled(hook: Document) -> bool:
    """Return whether a hook is disabled, temporarily or permanently, because it failed too often."""
    if hook.get("_failures", 0) >= _PERMANENT_FAILURES:
        return True
    until = hook.get("disabled_until")
    return until is not None and clock.parse(until) > clock.now()


def lets_through(hook: Document, branch: str | None) -> bool:
    """Return whether a hook's branch filter matches; ``None`` is an event without a branch."""
    pattern = hook["push_events_branch_filter"]
    if branch is None or not pattern or hook["branch_filter_strategy"] == "all_branches":
        return True
    if hook["branch_filter_strategy"] == "wildcard":
        return covers(pattern, branch)
    try:
        return re.search(pattern, branch) is not None
    except re.error:
        return False


def _list(call: Call) -> Any:
    return Page([_show(hook) for hook in call.store.all(KIND, project=call.project["id"])])


def find(call: Call) -> Document:
    """Return the hook in the path; raises 404 if the project has no such hook."""
    found = api.require(call.store.get(KIND, call.iid("hook_id")))
    if found["project_id"] != call.project["id"]:
        raise api.not_found()
    return found


def _one(call: Call) -> Any:
    return _show(find(call))


def _create(call: Call) -> Any:
    hook = {
        "url": str(call.need("url")),
        "name": None,
        "description": None,
        "project_id": call.project["id"],
        "created_at": clock.timestamp(),
        **_FLAGS,
        "push_events_branch_filter": "",
        "branch_filter_strategy": "wildcard",
        "custom_webhook_template": None,
        "custom_headers": [],
        "disabled_until": None,
        "_token": None,
        "_uuid": secrets.token_hex(16),
        "_failures": 0,
    }
    added = call.store.add(KIND, _updated(call, hook), project=call.project["id"])
    return api.Answer(_show(added), 201)


def _change(call: Call) -> Any:
    hook = find(call)
    if not set(call.params) & {*hook, "token"}:
        raise api.bad_request("No parameters provided", key="error")
    return _show(call.store.save(KIND, _updated(call, hook)))


def _updated(call: Call, hook: Document) -> Document:
    """Return a hook with the request's changes; the token is stored privately, values of headers are dropped."""
    changed = hook | {key: call.flag(key, default=hook[key]) for key in _FLAGS}
    for key in ("url", "name", "description", "push_events_branch_filter", "custom_webhook_template"):
        changed[key] = call.text(key) if key in call.params else hook[key]
    changed["branch_filter_strategy"] = call.choice(
        "branch_filter_strategy", _STRATEGIES, hook["branch_filter_strategy"]
    )
    headers = call.params.get("custom_headers")
    if isinstance(headers, list):
        if not all(isinstance(item, dict) and isinstance(item.get("key"), str) for item in headers):
            raise api.bad_request("custom_headers[key] is missing", key="error")
        changed["custom_headers"] = [{"key": item["key"]} for item in headers]
    if "token" in call.params:
        changed["_token"] = call.text("token")
    if not application_settings.is_address(call.store, str(changed["url"] or "")):
        raise api.unprocessable("Invalid url given", key="error")
    return changed


def _delete(call: Call) -> Any:
    call.store.delete(KIND, find(call))


_HOOKS = "/projects/{id}/hooks"

ROUTES = (
    Route("GET", _HOOKS, _list, MAINTAINER),
    Route("POST", _HOOKS, _create, MAINTAINER),
    Route("GET", _HOOKS + "/{hook_id}", _one, MAINTAINER),
    Route("PUT", _HOOKS + "/{hook_id}", _change, MAINTAINER),
    Route("DELETE", _HOOKS + "/{hook_id}", _delete, MAINTAINER),
)
