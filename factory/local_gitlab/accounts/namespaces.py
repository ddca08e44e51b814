"""Namespaces of projects: users and groups (docs: Namespaces API, Groups API)."""

import re
from typing import Any

from factory.local_gitlab.accounts import compute_minutes, membership
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock

_KIND = "namespace"
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNSUPPORTED_SETTINGS = (
    "membership_lock",
    "share_with_group_lock",
    "prevent_sharing_groups_outside_hierarchy",
    "prevent_forking_outside_group",
    "require_two_factor_authentication",
    "project_creation_level",
    "subgroup_creation_level",
    "shared_runners_setting",
    "default_branch",
    "default_branch_protection_defaults",
    "mentions_disabled",
    "wiki_access_level",
)
_VISIBILITIES = ("private", "internal", "public")


def ensure(store: Store, path: str, owner: Document) -> Document:
    """Return the namespace of a full path; creates it if it is missing, as a user's namespace or as a group."""
    found = store.find(_KIND, path)
    if found is not None:
        return found
    user = store.find("user", path)
    values = {"kind": "user", "name": user["name"]} if user else {}
    return _add(store, path, user or owner, **values)


def of(store: Store, project: Document) -> Document:
    """Return a project's namespace."""
    return ensure(store, project["_namespace"], {"id": project["creator_id"]})


def _add(store: Store, path: str, owner: Document, **values: Any) -> Document:
    document = {
        "name": path.rsplit("/", 1)[-1],
        "path": path.rsplit("/", 1)[-1],
        "kind": "group",
        "full_path": path,
        "parent_id": None,
        "avatar_url": None,
        "_owner": owner["id"],
        "_visibility": "private",
        "_description": "",
        "_created_at": clock.timestamp(),
        **values,
    }
    return store.add(_KIND, document, name=path)


def is_path(text: str) -> bool:
    """Return whether a text may be the path of a namespace, so also a user's name."""
    return bool(_PATH.fullmatch(text))


def group(call: Call) -> Document:
    """Return the call's group; raises 404 if the user can't see it."""
    return _find(call, "Group")


def visible_group(call: Call, number: int) -> Document | None:
    """Return a group by its id, or ``None`` if the user can't see it."""
    found = call.store.get(_KIND, number)
    return found if found and found["kind"] == "group" and _sees(call, found) else None


def owned_group(call: Call) -> Document:
    """Return the call's group; raises 404 if the user can't see it, 403 if the user doesn't own it."""
    found = group(call)
    if not _owns(call, found):
        raise api.forbidden()
    return found


def in_project(namespace: Document) -> Document:
    """Return a namespace as it appears inside a project."""
    return {key: namespace[key] for key in ("id", "name", "path", "kind", "full_path", "parent_id", "avatar_url")}


def for_new_project(call: Call) -> Document:
    """Return the namespace that a new project requests; the default is the caller's own.

    Creates a missing namespace for an administrator. Raises 404 if the namespace does not exist or the caller may not
    create projects in it.
    """
    number, path = call.params.get("namespace_id"), str(call.params.get("namespace_path") or call.user["username"])
    if number is not None:
        found = call.store.get(_KIND, api.as_int(number, "namespace_id"))
    elif call.user["is_admin"] or path == call.user["username"]:
        return ensure(call.store, path, call.user)
    else:
        found = call.store.find(_KIND, path)
    if found is None or not (_owns(call, found) or _level(call, found) >= DEVELOPER):
        raise api.not_found("Namespace")
    return found


def give_owners(store: Store) -> None:
    """Make the creator of each group without members its owner; older versions stored no members for groups."""
    for item in store.all(_KIND):
        creator = store.get("user", item["_owner"])
        if item["kind"] == "group" and creator and not membership.of_group(store, item):
            membership.add_to_group(store, item, creator, OWNER)


def _owns(call: Call, namespace: Document) -> bool:
    own = namespace["kind"] == "user" and namespace["_owner"] == call.user["id"]
    return bool(call.user["is_admin"] or own or _level(call, namespace) >= OWNER)


def _level(call: Call, namespace: Document) -> int:
    return membership.level_in_group(call.store, namespace, call.user["id"])


def _sees(call: Call, namespace: Document) -> bool:
    if _owns(call, namespace) or (namespace["kind"] == "group" and namespace["_visibility"] != "private"):
        return True
    if namespace["kind"] != "group" or _level(call, namespace):
        return bool(namespace["kind"] == "group")
    projects = call.store.all("project", _namespace=namespace["full_path"])
    return any(membership.direct(call.store, project, call.user["id"]) for project in projects)


def _find(call: Call, what: str) -> Document:
    ensure(call.store, call.user["username"], call.user)
    reference = call.path["reference"]
    found = call.store.get(_KIND, call.iid("reference")) if api.is_id(reference) else call.store.find(_KIND, reference)
    if found is None or not _sees(call, found) or (what == "Group" and found["kind"] != "group"):
        raise api.not_found(what)
    return found


def _visible(call: Call, *, groups: bool = False) -> list[Document]:
    ensure(call.store, call.user["username"], call.user)
    search = str(call.params.get("search") or "").lower()
    return [
        item
        for item in call.store.all(_KIND)
        if _sees(call, item)
        and not (groups and item["kind"] != "group")
        and search in f"{item['full_path']} {item['name']}".lower()
    ]


def _list(call: Call) -> Any:
    return Page([_show(call, item) for item in _visible(call)])


def _one(call: Call) -> Any:
    return _show(call, _find(call, "Namespace"))


def _show(call: Call, namespace: Document) -> Document:
    owners = {"plan": call.context.tier, **compute_minutes.shown(call.store, namespace)}
    return in_project(namespace) | {"web_url": _url(call, namespace)} | (owners if _owns(call, namespace) else {})


def _set_minutes(call: Call) -> Any:
    api.need_admin(call)
    return _show(call, call.store.save(_KIND, compute_minutes.changed(call, _find(call, "Namespace"))))


def _url(call: Call, namespace: Document) -> str:
    folder = "groups/" if namespace["kind"] == "group" else ""
    return f"{call.context.base_url}/{folder}{namespace['full_path']}"


def _groups(call: Call) -> Any:
    skipped, visibility = call.strings("skip_groups") or [], call.params.get("visibility")
    least = api.as_int(call.params.get("min_access_level") or 0, "min_access_level")
    found = [
        item
        for item in _visible(call, groups=True)
        if str(item["id"]) not in skipped
        and visibility in (None, item["_visibility"])
        and (not call.flag("owned") or _owns_directly(call, item))
        and (not call.flag("top_level_only") or item["parent_id"] is None)
        and (not least or _level(call, item) >= least)
    ]
    keys = ("name", "path", "id")
    return Page([_group(call, item) for item in lists.ordered(call, found, keys=keys, descending=False)])


def _owns_directly(call: Call, group: Document) -> bool:
    member = membership.in_group(call.store, group, call.user["id"])
    return bool(member and member["access_level"] == OWNER)


def _group(call: Call, namespace: Document) -> Document:
    keys = ("id", "name", "path", "full_path", "parent_id", "avatar_url")
    return {key: namespace[key] for key in keys} | {
        "web_url": _url(call, namespace),
        "description": namespace["_description"],
        "visibility": namespace["_visibility"],
        "full_name": namespace["full_path"].replace("/", " / "),
        "created_at": namespace["_created_at"],
        "shared_with_groups": [],
    }


def _new_group(call: Call) -> Any:
    name, path = str(call.need("name")), str(call.need("path"))
    api.refuse_unsupported(call, _UNSUPPORTED_SETTINGS)
    parent = None
    if call.params.get("parent_id") is not None:
        parent = call.store.get(_KIND, call.integer("parent_id"))
        if parent is None or parent["kind"] != "group" or not _sees(call, parent):
            raise api.not_found("Group")
        if not _owns(call, parent) and _level(call, parent) < MAINTAINER:
            raise api.forbidden()
    full = f"{parent['full_path']}/{path}" if parent else path
    if not is_path(path):
        raise api.failed(400, "Failed to save group {path: [\"can contain only letters, digits, '_', '-' and '.'.\"]}")
    if call.store.find(_KIND, full) or call.store.find("user", full):
        raise api.failed(400, 'Failed to save group {path: ["has already been taken"]}')
    values = {
        "name": name,
        "parent_id": parent["id"] if parent else None,
        "_visibility": call.choice("visibility", _VISIBILITIES, "private"),
        "_description": call.text("description") or "",
    }
    created = _add(call.store, full, call.user, **values)
    if _level(call, created) < OWNER:
        membership.add_to_group(call.store, created, call.user, OWNER)
    return api.Answer(_group(call, created), 201)


def _change_group(call: Call) -> Any:
    found = owned_group(call)
    api.refuse_unsupported(call, _UNSUPPORTED_SETTINGS)
    if call.params.get("path") not in (None, found["path"]):
        raise api.unsupported("a new path")
    given = [name for name in ("name", "description", "visibility") if name in call.params]
    if not given:
        raise api.bad_request("at least one parameter must be provided", key="error")
    found |= {
        "name": call.text("name") or found["name"],
        "_description": call.text("description") or "" if "description" in given else found["_description"],
        "_visibility": call.choice("visibility", _VISIBILITIES, found["_visibility"]),
    }
    return _group(call, call.store.save(_KIND, found))


def _one_group(call: Call) -> Any:
    return _group(call, _find(call, "Group"))


ROUTES = (
    Route("GET", "/namespaces", _list, PUBLIC),
    Route("GET", "/namespaces/{reference}", _one, PUBLIC),
    Route("PUT", "/namespaces/{reference}", _set_minutes, PUBLIC),
    Route("GET", "/groups", _groups, PUBLIC),
    Route("POST", "/groups", _new_group, PUBLIC),
    Route("GET", "/groups/{reference}", _one_group, PUBLIC),
    Route("PUT", "/groups/{reference}", _change_group, PUBLIC),
)
