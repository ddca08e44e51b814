"""Projects that are shared with groups (docs: Projects API, share a project with a group)."""

from factory.local_gitlab.accounts import membership, namespaces
from factory.local_gitlab.accounts.accounts import expiry
from factory.local_gitlab.accounts.members import valid_level
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Route
from factory.local_gitlab.serving.store import Document, Store


def show(store: Store, project: Document) -> list[Document]:
    """Return the groups that a project is shared with, as they appear in the project."""
    return [
        {
            "group_id": group["id"],
            "group_name": group["name"],
            "group_full_path": group["full_path"],
            "group_access_level": share["group_access"],
            "expires_at": share["expires_at"],
        }
        for group, share in membership.shares(store, project)
    ]


def _save(call: Call, found: list[Document]) -> None:
    call.store.save("project", call.project | {"_shares": found})


def _share(call: Call) -> api.Answer:
    number, level = call.integer("group_id"), valid_level(call, call.role, "group_access")
    group = api.require(namespaces.visible_group(call, number))
    found = call.project.get("_shares", [])
    if any(share["group_id"] == group["id"] for share in found):
        raise api.conflict("Group has already been taken")
    share = {"id": call.store.number("share"), "project_id": call.project["id"], "group_id": group["id"]}
    share |= {"group_access": level, "expires_at": expiry(call)}
    _save(call, [*found, share])
    return api.Answer(share, 201)


def _unshare(call: Call) -> None:
    found = call.project.get("_shares", [])
    kept = [share for share in found if share["group_id"] != call.iid("group_id")]
    if kept == found:
        raise api.not_found("Group Link")
    _save(call, kept)


_SHARE = "/projects/{id}/share"

ROUTES = (
    Route("POST", _SHARE, _share, MAINTAINER),
    Route("DELETE", _SHARE + "/{group_id}", _unshare, MAINTAINER),
)
