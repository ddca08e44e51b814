"""Links between issues; the blocking types require Premium (docs: Issue links API)."""

from typing import Any

from factory.local_gitlab.accounts.accounts import role_in
from factory.local_gitlab.issues import issues
from factory.local_gitlab.projects import projects
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, NO_ROLE, Call, Page, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_KIND = "issue_link"
_TYPES = ("relates_to", "blocks", "is_blocked_by")
_BACK = {"relates_to": "relates_to", "blocks": "is_blocked_by", "is_blocked_by": "blocks"}


def _of(call: Call, issue: Document) -> list[tuple[Document, Document, Document]]:
    """Return an issue's links to existing issues that the caller sees, each with the other issue and its project."""
    found = []
    for link in call.store.all(_KIND):
        if issue["id"] in (link["_source"], link["_target"]):
            outgoing = link["_source"] == issue["id"]
            project = call.store.get("project", link["_to"] if outgoing else link["_from"])
            other = call.store.get("issue", link["_target"] if outgoing else link["_source"])
            if project and other and role_in(call.store, project, call.user, call.token) != NO_ROLE:
                found.append((link, other, project))
    return found


def _list(call: Call) -> Any:
    source = call.own("issue")
    return Page(
        [
            issues.show(call.context, project, other)
            | {
                "issue_link_id": link["id"],
                "link_type": link["link_type"] if link["_source"] == source["id"] else _BACK[link["link_type"]],
                "link_created_at": link["created_at"],
                "link_updated_at": link["created_at"],
            }
            for link, other, project in _of(call, source)
        ]
    )


def _shown(call: Call, number: int, project: int) -> Document:
    issue, owner = call.store.get("issue", number) or {}, call.store.get("project", project) or {}
    return issues.show(call.context, owner, issue)


def _show(call: Call, link: Document) -> Document:
    return {
        "id": link["id"],
        "source_issue": _shown(call, link["_source"], link["_from"]),
        "target_issue": _shown(call, link["_target"], link["_to"]),
        "link_type": link["link_type"],
    }


def _create(call: Call) -> Any:
    source = call.own("issue")
    kind = call.choice("link_type", _TYPES, "relates_to")
    project = projects.find(call.context, str(call.need("target_project_id")))
    if project is None or role_in(call.store, project, call.user, call.token) == NO_ROLE:
        raise api.not_found("Project")
    if call.context.tier == "free" and kind != "relates_to":
        raise api.forbidden("Blocked issues not available for current license")
    target = api.require(call.store.by_iid("issue", project["id"], call.integer("target_issue_iid")))
    if source["id"] == target["id"] or any(other["id"] == target["id"] for _, other, _ in _of(call, source)):
        raise api.conflict("Issue(s) already assigned")
    document = {
        "link_type": kind,
        "created_at": clock.timestamp(),
        "_source": source["id"],
        "_target": target["id"],
        "_from": call.project["id"],
        "_to": project["id"],
    }
    return api.Answer(_show(call, call.store.add(_KIND, document, project=call.project["id"])), 201)


def _find(call: Call) -> Document:
    links = _of(call, call.own("issue"))
    return api.require(next((link for link, _, _ in links if link["id"] == call.iid("link_id")), None))


def _one(call: Call) -> Any:
    return _show(call, _find(call))


def _delete(call: Call) -> Any:
    link = _find(call)
    shown = _show(call, link)
    call.store.delete(_KIND, link)
    return shown


_ALL = "/projects/{id}/issues/{iid}/links"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("POST", _ALL, _create, DEVELOPER),
    Route("GET", _ALL + "/{link_id}", _one),
    Route("DELETE", _ALL + "/{link_id}", _delete, DEVELOPER),
)
