"""Approvals of a merge request; on Free they are optional (docs: Merge request approvals API)."""

from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.projects import approval_rules
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def _approvals(call: Call) -> Any:
    request = call.own("merge_request")
    rules = approval_rules.required(call.context, call.project, request["target_branch"])
    required = sum(rule["approvals_required"] for rule in rules)
    missing = approval_rules.left(call.context, call.project, request)
    approved_by = [
        {"user": by_id(call.context, item["user"]), "approved_at": item["approved_at"]}
        for item in request["_approved_by"]
    ]
    mine = any(item["user"] == call.user["id"] for item in request["_approved_by"])
    return {
        "id": request["id"],
        "iid": request["iid"],
        "project_id": call.project["id"],
        "title": request["title"],
        "state": request["state"],
        "approvals_required": required,
        "approvals_left": missing,
        "approved": bool(approved_by) and missing == 0,
        "approved_by": approved_by,
        "user_has_approved": mine,
        "user_can_approve": not mine and call.role >= DEVELOPER and not _is_excluded(call, request),
    }


def _is_excluded(call: Call, request: Document) -> bool:
    """Return whether Premium settings prevent the user from approving, as the author or as a committer."""
    settings = call.project["_approvals"]
    if call.context.tier == "free":
        return False
    if call.user["id"] == request["_author"] and not settings["merge_requests_author_approval"]:
        return True
    return bool(settings["merge_requests_disable_committers_approval"]) and call.user["email"] in _committers(
        call, request
    )


def _committers(call: Call, request: Document) -> set[str]:
    """Return the e-mail addresses of a merge request's committers."""
    refs = request["diff_refs"]
    commits = call.context.repository(call.project).commits(f"{refs['base_sha']}..{refs['head_sha']}")
    return {commit["committer_email"] for commit in commits}


def _approve(call: Call) -> Any:
    request = call.own("merge_request")
    if call.params.get("sha") not in (None, request["sha"]):
        raise api.conflict(f"SHA does not match HEAD of source branch: {request['sha']}")
    own = _is_excluded(call, request)
    again = any(item["user"] == call.user["id"] for item in request["_approved_by"])
    if own or again or request["state"] != "opened":
        raise api.unauthorized()
    request["_approved_by"].append({"user": call.user["id"], "approved_at": clock.timestamp()})
    request["updated_at"] = clock.timestamp()
    call.store.save("merge_request", request)
    return api.Answer(_approvals(call), 201)


def _unapprove(call: Call) -> Any:
    request = call.own("merge_request")
    others = [item for item in request["_approved_by"] if item["user"] != call.user["id"]]
    if others == request["_approved_by"]:
        raise api.not_found()
    call.store.save("merge_request", request | {"_approved_by": others})
    return api.Answer(_approvals(call), 201)


_ONE = "/projects/{id}/merge_requests/{iid}"

ROUTES = (
    Route("GET", _ONE + "/approvals", _approvals),
    Route("POST", _ONE + "/approve", _approve, DEVELOPER),
    Route("POST", _ONE + "/unapprove", _unapprove, DEVELOPER),
)
