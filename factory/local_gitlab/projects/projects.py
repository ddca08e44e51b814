"""Projects."""

import re
from functools import partial
from typing import Any

from factory.local_gitlab.accounts import membership, namespaces, shares
from factory.local_gitlab.projects import approval_rules, avatars, default_branch, project_settings, removal
from factory.local_gitlab.refs.ref_names import is_branch_name
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import lists
from factory.local_gitlab.serving.call import MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_PATH = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_ORDERS = ("created_at", "id", "name", "path", "last_activity_at")
# docs: Projects API, the fields of a project with `simple`.
SIMPLE = (
    "id",
    "description",
    "name",
    "name_with_namespace",
    "path",
    "path_with_namespace",
    "created_at",
    "default_branch",
    "ssh_url_to_repo",
    "http_url_to_repo",
    "web_url",
    "last_activity_at",
    "namespace",
)
_PATH_RULE = (
    "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'"
)


def find(context: Context, reference: str) -> Document | None:
    """Return a project by id or path."""
    if api.is_id(reference):
        return context.store.get("project", int(reference))
    return context.store.find("project", reference)


def show(context: Context, project: Document) -> Document:
    """Return a project as the API shows it."""
    url = f"{context.base_url}/{project['path_with_namespace']}"
    branches = context.repository(project).branches()
    hidden = project_settings.LICENSED if context.tier == "free" else ()
    return api.public(project_settings.of(project), "iid", *hidden) | {
        "web_url": url,
        "http_url_to_repo": f"{url}.git",
        "ssh_url_to_repo": None,
        "empty_repo": not branches,
        "namespace": namespaces.in_project(namespaces.of(context.store, project)),
        "avatar_url": avatars.url(context, project),
        "shared_with_groups": shares.show(context.store, project),
        "_links": {"self": f"{context.api_url()}/projects/{project['id']}"},
    }


def _create(call: Call) -> Any:
    path, branch = _path(call), str(call.params.get("default_branch") or "main")
    if not is_branch_name(branch):
        raise api.invalid({"default_branch": ["is not a valid branch name"]})
    namespace = namespaces.for_new_project(call)["full_path"]
    full = f"{namespace}/{path}"
    if call.store.find("project", full):
        raise api.invalid({"path": ["has already been taken"]})
    now = clock.timestamp()
    document = {
        "name": str(call.params.get("name") or path),
        "path": path,
        "path_with_namespace": full,
        "name_with_namespace": full.replace("/", " / "),
        "default_branch": branch,
        "created_at": now,
        "last_activity_at": now,
        "archived": False,
        "creator_id": call.user["id"],
        "_namespace": namespace,
        "_approvals": approval_rules.SETTINGS,
        "_refs": {},
        "_tags": {},
        **project_settings.DEFAULTS,
        **project_settings.given(call),
        **avatars.given(call),
    }
    project_settings.refuse_other_definition(full, document)
    project = call.store.add("project", document, name=full)
    avatars.keep(call, project)
    call.context.repository(project).create(project["default_branch"])
    if membership.level(call.store, project, call.user["id"]) < MAINTAINER:
        membership.add(call.store, project, call.user, OWNER)
    if call.flag("initialize_with_readme"):
        _first_commit(call, project)
    return api.Answer(show(call.context, project), 201)


def _path(call: Call) -> str:
    """Return the requested path, or a path derived from the name (docs: Projects API); raises 400 if it is invalid."""
    path = call.text("path")
    name = str(call.need("name")) if path is None else path
    if _PATH.fullmatch(name) and not name.endswith((".git", ".atom")):
        return name
    derived = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") if path is None else ""
    if not derived:
        raise api.invalid({"path": [_PATH_RULE]})
    return derived


def _first_commit(call: Call, project: Document) -> None:
    repository = call.context.repository(project)
    change = {"path": "README.md", "content": f"# {project['name']}\n".encode()}
    author = f"{call.user['name']}\0{call.user['email']}"
    sha = repository.commit([change], parent=None, message="Initial commit", author=author)
    repository.set_branch(project["default_branch"], sha, None)
    default_branch.protect(call.store, project)


def _list(call: Call) -> Any:
    found = lists.ordered(call, [item for item in call.store.all("project") if _matches(call, item)], keys=_ORDERS)
    return Page(found, partial(_show_simple if call.flag("simple") else show, call.context))


def _show_simple(context: Context, project: Document) -> Document:
    shown = show(context, project)
    return {key: shown[key] for key in SIMPLE}


def _matches(call: Call, project: Document) -> bool:
    """Return whether the caller sees a project, and the filters match it."""
    member = membership.find(call.store, project, call.user["id"])
    level = membership.level(call.store, project, call.user["id"])
    owns = project["_namespace"] == call.user["username"]
    names = ("path_with_namespace",) if call.flag("search_namespaces") else ("path", "name", "description")
    text = " ".join(str(project[name] or "") for name in names).lower()
    return (
        bool(member or call.user["is_admin"])
        and str(call.params.get("search") or "").lower() in text
        and (not call.flag("owned") or owns or level >= OWNER)
        and (not call.flag("membership") or member is not None)
        and level >= api.as_int(call.params.get("min_access_level") or 0, "min_access_level")
        and call.params.get("visibility") in (None, project["visibility"])
        and (call.params.get("archived") is None or call.flag("archived") == project["archived"])
    )


def _show(call: Call) -> Any:
    found = (look(call.store, call.project, call.user["id"]) for look in (membership.direct, membership.inherited))
    own, above = ({"access_level": item["access_level"]} if item else None for item in found)
    return show(call.context, call.project) | {"permissions": {"project_access": own, "group_access": above}}


def _change(call: Call) -> Any:
    if call.role < OWNER and (call.params.get("visibility") or call.params.get("name")):
        raise api.forbidden()
    changes = {key: call.text(key) for key in ("name", "default_branch") if call.params.get(key)}
    changes |= project_settings.given(call) | avatars.given(call)
    project_settings.refuse_change(call, changes)
    project_settings.refuse_other_definition(call.project["path_with_namespace"], changes)
    if call.params.get("path") not in (None, call.project["path"]):
        raise api.unsupported("a new path")
    if not changes:
        raise api.bad_request("at least one parameter must be provided", key="error")
    avatars.keep(call, call.project)
    return show(call.context, call.store.save("project", call.project | changes))


ROUTES = (
    Route("GET", "/projects", _list, PUBLIC),
    Route("POST", "/projects", _create, PUBLIC, files=("avatar",)),
    Route("GET", "/projects/{id}", _show),
    Route("PUT", "/projects/{id}", _change, MAINTAINER, files=("avatar",)),
    *avatars.ROUTES,
    *removal.ROUTES,
)
