"""A project's members and their roles (docs: Members API). Groups here pass no members on to their projects."""

from datetime import date
from typing import Any

from factory.local_gitlab import web as api
from factory.local_gitlab.accounts import add_member, by_id
from factory.local_gitlab.store import Document
from factory.local_gitlab.web import MAINTAINER, OWNER, Call, Page, Route
from factory.system import clock

# GitLab docs: Members API, roles.
_LEVELS = {5, 10, 15, 20, 30, 40, 50}
_KIND = "member"


def _show(call: Call, member: Document) -> Document:
    user = by_id(call.context, member["user_id"]) or {}
    keys = ("access_level", "created_at", "expires_at")
    return user | {key: member[key] for key in keys} | {"membership_state": "active"}


def _list(call: Call) -> Any:
    found = [_show(call, member) for member in call.store.all(_KIND, project=call.project["id"])]
    query, numbers = str(call.params.get("query") or "").lower(), call.strings("user_ids")
    return Page(
        [
            member
            for member in found
            if query in f"{member['username']} {member['name']}".lower()
            and (numbers is None or str(member["id"]) in numbers)
        ]
    )


def _find(call: Call) -> Document:
    return api.require(call.store.find(_KIND, str(call.iid("user_id")), project=call.project["id"]))


def _one(call: Call) -> Any:
    return _show(call, _find(call))


def _create(call: Call) -> Any:
    given = [name for name in ("user_id", "username") if call.params.get(name)]
    if len(given) != 1:
        reason = "mutually exclusive" if given else "missing, exactly one parameter must be provided"
        raise api.bad_request(f"user_id, username are {reason}", key="error")
    level, expires = _level(call), _expiry(call)
    store = call.store
    user = store.find("user", str(call.params["username"])) if "username" in given else _user(call)
    user = api.require(user, "User")
    if store.find(_KIND, str(user["id"]), project=call.project["id"]):
        raise api.conflict("Member already exists")
    made = add_member(store, call.project, user, level)
    return api.Answer(_show(call, store.save(_KIND, made | {"expires_at": expires})), 201)


def _user(call: Call) -> Document | None:
    return call.store.get("user", call.integer("user_id"))


def _level(call: Call) -> int:
    """Return the access level that a request gives; raises 400 for one that is none, 403 for an owner's by others."""
    level = call.integer("access_level")
    if level not in _LEVELS:
        raise api.invalid({"access_level": ["is not included in the list"]})
    if level == OWNER and call.role < OWNER:
        raise api.forbidden()
    return level


def _expiry(call: Call) -> str | None:
    given = call.params.get("expires_at")
    if not given:
        return None
    try:
        day = date.fromisoformat(str(given)[:10])
    except ValueError:
        raise api.bad_request("expires_at is invalid", key="error") from None
    if day.isoformat() < clock.timestamp()[:10]:
        raise api.invalid({"expires_at": ["cannot be a date in the past"]})
    return day.isoformat()


def _change(call: Call) -> Any:
    member = _administered(call)
    level = _level(call)
    expires = _expiry(call) if "expires_at" in call.params else member["expires_at"]
    return _show(call, call.store.save(_KIND, member | {"access_level": level, "expires_at": expires}))


def _administered(call: Call) -> Document:
    """Return the member of the call; raises 403 where its role is not the caller's to change.

    Nobody changes whose personal namespace the project is in, and only owners change owners.
    """
    member = _find(call)
    user = call.store.get("user", member["user_id"]) or {}
    if user["username"] == call.project["_namespace"] or (member["access_level"] == OWNER and call.role < OWNER):
        raise api.forbidden()
    return member


def _remove(call: Call) -> Any:
    """Remove a member; whoever is one may leave."""
    if call.role < MAINTAINER and call.path["user_id"] != str(call.user["id"]):
        raise api.forbidden()
    call.store.delete(_KIND, _administered(call))


_ALL = "/projects/{id}/members"

ROUTES = (
    Route("GET", _ALL, _list),
    Route("GET", _ALL + "/all", _list),
    Route("POST", _ALL, _create, MAINTAINER),
    Route("GET", _ALL + "/{user_id}", _one),
    Route("GET", _ALL + "/all/{user_id}", _one),
    Route("PUT", _ALL + "/{user_id}", _change, MAINTAINER),
    Route("DELETE", _ALL + "/{user_id}", _remove),
)
