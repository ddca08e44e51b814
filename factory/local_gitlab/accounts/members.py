"""Members of projects and groups, and their roles (docs: Members API)."""

from collections.abc import Iterable
from typing import Any

from factory.local_gitlab.accounts import membership, namespaces
from factory.local_gitlab.accounts.accounts import LEVELS, by_id, expiry
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.store import Document


def _show(call: Call, member: Document) -> Document:
    user = by_id(call.context, member["user_id"]) or {}
    keys = ("access_level", "created_at", "expires_at")
    return user | {key: member[key] for key in keys} | {"membership_state": "active"}


def _page(call: Call, members: Iterable[Document]) -> Page:
    found = [_show(call, member) for member in members]
    query, numbers = str(call.params.get("query") or "").lower(), call.strings("user_ids")
    return Page(
        [
            member
            for member in found
            if query in f"{member['username']} {member['name']}".lower()
            and (numbers is None or str(member["id"]) in numbers)
        ]
    )


def _list(call: Call) -> Any:
    return _page(call, membership.of_project(call.store, call.project))


def _list_all(call: Call) -> Any:
    return _page(call, membership.of_all(call.store, call.project))


def _find(call: Call) -> Document:
    return api.require(membership.direct(call.store, call.project, call.iid("user_id")))


def _one(call: Call) -> Any:
    return _show(call, _find(call))


def _one_of_all(call: Call) -> Any:
    return _show(call, api.require(membership.find(call.store, call.project, call.iid("user_id"))))


def _create(call: Call) -> Any:
    store = call.store
    user, level, expires = _requested(call, call.role)
    if membership.direct(store, call.project, user["id"]):
        raise api.conflict("Member already exists")
    above = membership.inherited(store, call.project, user["id"])
    if above and above["access_level"] > level:
        raise api.invalid({"access_level": ["should be greater than or equal to the inherited membership"]})
    member = membership.add(store, call.project, user, level)
    return api.Answer(_show(call, membership.keep(store, member | {"expires_at": expires})), 201)


def _requested(call: Call, role: int) -> tuple[Document, int, str | None]:
    """Return a new member's user, access level and expiry date; ``role`` is the caller's role."""
    names = [name for name in ("user_id", "username") if call.params.get(name)]
    if len(names) != 1:
        reason = "mutually exclusive" if names else "missing, exactly one parameter must be provided"
        raise api.bad_request(f"user_id, username are {reason}", key="error")
    level, expires = valid_level(call, role), expiry(call)
    user = call.store.find("user", str(call.params["username"])) if "username" in names else _user(call)
    return api.require(user, "User"), level, expires


def _user(call: Call) -> Document | None:
    return call.store.get("user", call.integer("user_id"))


def valid_level(call: Call, role: int, name: str = "access_level") -> int:
    """Return the requested access level; raises 400 for an unknown level, 403 if a non-owner requests Owner."""
    level = call.integer(name)
    if level not in LEVELS:
        raise api.invalid({name: ["is not included in the list"]})
    if level == OWNER and role < OWNER:
        raise api.forbidden()
    return level


def _change(call: Call) -> Any:
    return _changed(call, _administered(call), call.role)


def _changed(call: Call, member: Document, role: int) -> Document:
    level = valid_level(call, role)
    expires = expiry(call) if "expires_at" in call.params else member["expires_at"]
    return _show(call, membership.keep(call.store, member | {"access_level": level, "expires_at": expires}))


def _administered(call: Call) -> Document:
    """Return the member of the call; raises 403 if the caller may not change that member.

    Only owners can change owners, and nobody can change the user that owns the project's personal namespace.
    """
    member = _find(call)
    user = call.store.get("user", member["user_id"]) or {}
    if user["username"] == call.project["_namespace"] or (member["access_level"] == OWNER and call.role < OWNER):
        raise api.forbidden()
    return member


def _remove(call: Call) -> Any:
    """Remove a member; members may remove themselves."""
    if call.role < MAINTAINER and call.path["user_id"] != str(call.user["id"]):
        raise api.forbidden()
    membership.remove(call.store, _administered(call))


def _group_list(call: Call) -> Any:
    return _page(call, membership.of_group(call.store, namespaces.group(call)))


def _group_list_all(call: Call) -> Any:
    return _page(call, membership.of_group_and_above(call.store, namespaces.group(call)))


def _group_one_of_all(call: Call) -> Any:
    members = membership.of_group_and_above(call.store, namespaces.group(call))
    number = call.iid("user_id")
    return _show(call, api.require(next((item for item in members if item["user_id"] == number), None)))


def _group_one(call: Call) -> Any:
    return _show(call, _in_group(call, namespaces.group(call)))


def _in_group(call: Call, group: Document) -> Document:
    return api.require(membership.in_group(call.store, group, call.iid("user_id")))


def _group_create(call: Call) -> Any:
    group = namespaces.owned_group(call)
    user, level, expires = _requested(call, OWNER)
    if membership.in_group(call.store, group, user["id"]):
        raise api.conflict("Member already exists")
    member = membership.add_to_group(call.store, group, user, level)
    return api.Answer(_show(call, membership.keep(call.store, member | {"expires_at": expires})), 201)


def _group_change(call: Call) -> Any:
    group = namespaces.owned_group(call)
    member = _in_group(call, group)
    if call.params.get("access_level") not in {OWNER, str(OWNER)}:
        _keep_an_owner(call, group, member)
    return _changed(call, member, OWNER)


def _keep_an_owner(call: Call, group: Document, member: Document) -> None:
    """Raise 403 if a member is a group's last owner, who must not be removed or demoted."""
    owners = [item for item in membership.of_group(call.store, group) if item["access_level"] == OWNER]
    if owners == [member]:
        raise api.forbidden()


def _group_remove(call: Call) -> Any:
    """Remove a group's member; members may remove themselves, except the last owner."""
    leaves = call.path["user_id"] == str(call.user["id"])
    group = namespaces.group(call) if leaves else namespaces.owned_group(call)
    member = _in_group(call, group)
    _keep_an_owner(call, group, member)
    membership.remove(call.store, member)


_ALL = "/projects/{id}/members"
_GROUPS = "/groups/{reference}/members"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("GET", _ALL + "/all", _list_all),
    Route("POST", _ALL, _create, MAINTAINER),
    Route("GET", _ALL + "/{user_id}", _one),
    Route("GET", _ALL + "/all/{user_id}", _one_of_all),
    Route("PUT", _ALL + "/{user_id}", _change, MAINTAINER),
    Route("DELETE", _ALL + "/{user_id}", _remove),
    Route("GET", _GROUPS, _group_list, PUBLIC),
    Route("GET", _GROUPS + "/all", _group_list_all, PUBLIC),
    Route("GET", _GROUPS + "/all/{user_id}", _group_one_of_all, PUBLIC),
    Route("POST", _GROUPS, _group_create, PUBLIC),
    Route("GET", _GROUPS + "/{user_id}", _group_one, PUBLIC),
    Route("PUT", _GROUPS + "/{user_id}", _group_change, PUBLIC),
    Route("DELETE", _GROUPS + "/{user_id}", _group_remove, PUBLIC),
)
