"""Access levels of protected branches, tags and environments; each names a role, a user or a group."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from factory.local_gitlab.accounts import membership
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import ADMIN, DEVELOPER, MAINTAINER, NO_ROLE, Call
from factory.local_gitlab.serving.store import Document, Store

_ROLES = {NO_ROLE: "No one", DEVELOPER: "Developers + Maintainers", MAINTAINER: "Maintainers", ADMIN: "Administrators"}
_GRANTEES = ("access_level", "user_id", "group_id")


def of_role(store: Store, role: int, **extra: Any) -> Document:
    """Return a new access level of a role; ``extra`` are fields that only some kinds of levels have."""
    names = {"user_id": None, "group_id": None, "access_level_description": _ROLES[role]}
    return {"id": store.number("access_level"), **extra, "access_level": role, **names}


def given(call: Call, name: str) -> list[Document]:
    """Return a parameter that is a list of access levels; raises 400 if it is not such a list."""
    value = call.params.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise api.bad_request(f"{name} is invalid", key="error")
    return value


def exchanged(
    call: Call, levels: Sequence[Document], changes: Sequence[Document], what: str, **extra: Any
) -> list[Document]:
    """Return access levels after a list of changes; ``what`` names them in errors, ``extra`` are their extra fields.

    A change with an ``id`` changes that level or, with ``_destroy``, removes it; a change without an ``id`` adds a
    level. Raises 404 for an unknown ``id``, 422 for an invalid or duplicate level.
    """
    found = {level["id"]: level for level in levels}
    for change in changes:
        values = {key: change[key] for key in (*_GRANTEES, *extra) if change.get(key) is not None}
        if change.get("id") is None:
            number = call.store.number("access_level")
            found[number] = _valid(call, {"id": number, **extra, **values}, what)
            continue
        level = found.pop(api.as_int(change["id"], "id"), None)
        if level is None:
            raise api.not_found()
        if str(change.get("_destroy", "")).lower() not in {"true", "1"}:
            unchanged = {} if set(values) & set(_GRANTEES) else {key: level[key] for key in _GRANTEES}
            unchanged |= {key: level[key] for key in extra}
            found[level["id"]] = _valid(call, {"id": level["id"], **unchanged, **values}, what)
    _refuse_duplicates(list(found.values()), what)
    return [found[number] for number in sorted(found)]


def grants(store: Store, levels: Iterable[Document], user: Document, role: int, *, least: int = DEVELOPER) -> bool:
    """Return whether one of the access levels covers a user, by the role, by name or as a direct member of a group.

    ``least`` is the role that the user needs besides a level with a name or a group.
    """
    return any(
        (level["access_level"] not in {None, NO_ROLE} and role >= level["access_level"])
        or (role >= least and (level["user_id"] == user["id"] or _is_in(store, level["group_id"], user)))
        for level in levels
    )


def _is_in(store: Store, group: int | None, user: Document) -> bool:
    return group is not None and membership.in_group(store, {"id": group}, user["id"]) is not None


def valid_level(call: Call, name: str, default: int, allowed: Collection[int]) -> int:
    """Return a parameter that is an access level; raises 400 if the level is not in ``allowed``."""
    level = api.as_int(call.params.get(name, default), name)
    if level not in allowed:
        raise api.bad_request(f"{name} does not have a valid value", key="error")
    return level


def _valid(call: Call, level: Document, what: str) -> Document:
    """Return a level as it is stored; raises 422 for an unknown role, and for who has no access to the project."""
    user, group = level.get("user_id"), level.get("group_id")
    description = ""
    if user is not None:
        person = call.store.get("user", api.as_int(user, "user_id"))
        if person is None or not membership.find(call.store, call.project, person["id"]):
            raise api.unprocessable([f"{what} user is not a member of the project"])
        description = person["name"]
    elif group is not None:
        number = api.as_int(group, "group_id")
        names = (item["name"] for item, _ in membership.shares(call.store, call.project) if item["id"] == number)
        description = next(names, "")
        if not description:
            raise api.unprocessable([f"{what} group does not have access to the project"])
    else:
        role = api.as_int(level.get("access_level"), "access_level")
        if role not in _ROLES:
            raise api.unprocessable([f"{what} access level is not included in the list"])
        level = level | {"access_level": role}
        description = _ROLES[role]
    # GitLab ignores the role of a level that names a user or a group.
    named = user is not None or group is not None
    shown = {"access_level": None if named else level["access_level"], "user_id": user, "group_id": group}
    return level | shown | {"access_level_description": description}


def _refuse_duplicates(levels: Sequence[Document], what: str) -> None:
    for key in _GRANTEES:
        values = [level[key] for level in levels if level[key] is not None]
        if len(values) != len(set(values)):
            raise api.unprocessable([f"{what} {key.removesuffix('_id').replace('_', ' ')} has already been taken"])
