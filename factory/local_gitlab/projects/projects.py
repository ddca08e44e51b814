"""Projects, labels and CI variables."""

import re
from typing import Any

from factory.local_gitlab.accounts import membership, namespaces
from factory.local_gitlab.projects import approval_rules, project_settings
from factory.local_gitlab.refs.ref_names import is_branch_name
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, files

_COLOR = re.compile(r"#(?:[0-9A-Fa-f]{3}){1,2}")
_PATH = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_PATH_RULE = (
    "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'"
)
_VARIABLE_TYPES = ("env_var", "file")


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
    }
    project = call.store.add("project", document, name=full)
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


def _list(call: Call) -> Any:
    search = str(call.params.get("search") or "")
    found = []
    for project in call.store.all("project"):
        member = membership.find(call.store, project, call.user["id"])
        if (member or call.user["is_admin"]) and search in project["path_with_namespace"]:
            found.append(show(call.context, project))
    return Page(found)


def _show(call: Call) -> Any:
    found = (look(call.store, call.project, call.user["id"]) for look in (membership.direct, membership.inherited))
    own, above = ({"access_level": item["access_level"]} if item else None for item in found)
    return show(call.context, call.project) | {"permissions": {"project_access": own, "group_access": above}}


def _change(call: Call) -> Any:
    if call.role < OWNER and (call.params.get("visibility") or call.params.get("name")):
        raise api.forbidden()
    changes = {key: call.text(key) for key in ("name", "default_branch") if call.params.get(key)}
    changes |= project_settings.given(call)
    project_settings.refuse_change(call, changes)
    if not changes:
        raise api.bad_request("at least one parameter must be provided", key="error")
    return show(call.context, call.store.save("project", call.project | changes))


def _delete(call: Call) -> Any:
    """Delete a project at once; GitLab keeps it for some days (docs: Projects API, delete a project)."""
    path = call.context.repository(call.project).path
    call.store.forget_project(call.project["id"])
    files.remove_tree(path)
    return api.Answer({"message": "202 Accepted"}, 202)


def _labels(call: Call) -> Any:
    return Page([_label(label) for label in call.store.all("label", project=call.project["id"])])


def _label(label: Document) -> Document:
    return api.public(label, "iid") | {"is_project_label": True, "subscribed": False, "text_color": "#FFFFFF"}


def _color(text: str) -> str:
    """Return a colour with six digits; raises 400 if it is not hexadecimal (unlike GitLab, also for CSS names)."""
    if not _COLOR.fullmatch(text):
        raise api.invalid({"color": ["must be a valid color code"]})
    return text if len(text) > 4 else "#" + "".join(digit * 2 for digit in text[1:])  # noqa: PLR2004 - `#abc`


def _find_label(call: Call) -> Document:
    name = str(call.path.get("name") or call.params.get("label_id") or call.need("name"))
    labels = call.store.all("label", project=call.project["id"])
    return api.require(next((label for label in labels if name in {str(label["id"]), label["name"]}), None), "Label")


def _label_name(text: str) -> str:
    """Return a label's name; raises 400 for a comma, which separates labels in every other call (docs: Labels)."""
    if "," in text or not text.strip():
        raise api.invalid({"title": ["is invalid"]})
    return text


def _create_label(call: Call) -> Any:
    name = _label_name(str(call.need("name")))
    if call.store.find("label", name, project=call.project["id"]):
        raise api.conflict("Label already exists")
    document = {"name": name, "color": _color(str(call.need("color"))), "description": call.text("description")}
    return api.Answer(
        _label(call.store.add("label", document | {"priority": None}, project=call.project["id"], name=name)), 201
    )


def _show_label(call: Call) -> Any:
    return _label(_find_label(call))


def _change_label(call: Call) -> Any:
    label = _find_label(call)
    label["color"] = _color(call.text("color") or label["color"])
    if "description" in call.params:
        label["description"] = call.text("description")
    if call.params.get("new_name"):
        label["name"] = _label_name(str(call.params["new_name"]))
        call.store.rename("label", label, label["name"])
    return _label(call.store.save("label", label))


def _delete_label(call: Call) -> Any:
    call.store.delete("label", _find_label(call))


def _variables(call: Call) -> Any:
    return Page([_variable(item) for item in call.store.all("variable", project=call.project["id"])])


def _variable(item: Document) -> Document:
    shown = api.public(item, "id", "iid")
    return shown | {"value": None} if item["hidden"] else shown


def _find_variable(call: Call) -> Document:
    scope = call.params.get("filter[environment_scope]", "*")
    found = call.store.all("variable", project=call.project["id"], key=call.path["key"])
    matching = [item for item in found if item["environment_scope"] == scope] or found[:1]
    return api.require(matching[0] if matching else None, "Variable")


def _create_variable(call: Call) -> Any:
    key = str(call.need("key"))
    scope = str(call.params.get("environment_scope") or "*")
    if any(
        item["environment_scope"] == scope for item in call.store.all("variable", project=call.project["id"], key=key)
    ):
        raise api.invalid({"key": [f"({key}) has already been taken"]})
    hidden = call.flag("masked_and_hidden")
    document = {
        "key": key,
        "value": str(call.params.get("value", "")),
        "variable_type": call.choice("variable_type", _VARIABLE_TYPES, "env_var"),
        "protected": call.flag("protected"),
        "masked": call.flag("masked") or hidden,
        "hidden": hidden,
        "raw": call.flag("raw"),
        "environment_scope": scope,
        "description": call.text("description"),
    }
    return api.Answer(_variable(call.store.add("variable", document, project=call.project["id"], name=key)), 201)


def _show_variable(call: Call) -> Any:
    return _variable(_find_variable(call))


def _change_variable(call: Call) -> Any:
    item = _find_variable(call)
    for key in ("value", "environment_scope", "description"):
        item[key] = call.text(key) if key in call.params else item[key]
    item["variable_type"] = call.choice("variable_type", _VARIABLE_TYPES, item["variable_type"])
    for key in ("protected", "masked", "raw"):
        item[key] = call.flag(key, default=item[key])
    return _variable(call.store.save("variable", item))


def _delete_variable(call: Call) -> Any:
    call.store.delete("variable", _find_variable(call))


ROUTES = (
    Route("GET", "/projects", _list, PUBLIC),
    Route("POST", "/projects", _create, PUBLIC),
    Route("GET", "/projects/{id}", _show),
    Route("PUT", "/projects/{id}", _change, MAINTAINER),
    Route("DELETE", "/projects/{id}", _delete, OWNER),
    Route("GET", "/projects/{id}/labels", _labels),
    Route("POST", "/projects/{id}/labels", _create_label, DEVELOPER),
    Route("PUT", "/projects/{id}/labels", _change_label, DEVELOPER),
    Route("GET", "/projects/{id}/labels/{name}", _show_label),
    Route("PUT", "/projects/{id}/labels/{name}", _change_label, DEVELOPER),
    Route("DELETE", "/projects/{id}/labels/{name}", _delete_label, DEVELOPER),
    Route("GET", "/projects/{id}/variables", _variables, MAINTAINER),
    Route("POST", "/projects/{id}/variables", _create_variable, MAINTAINER),
    Route("GET", "/projects/{id}/variables/{key}", _show_variable, MAINTAINER),
    Route("PUT", "/projects/{id}/variables/{key}", _change_variable, MAINTAINER),
    Route("DELETE", "/projects/{id}/variables/{key}", _delete_variable, MAINTAINER),
)
