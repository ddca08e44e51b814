"""CI variables of a project (docs: Project-level CI/CD variables API)."""

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.store import Document

_TYPES = ("env_var", "file")


def _list(call: Call) -> Page:
    return Page([_shown(item) for item in call.store.all("variable", project=call.project["id"])])


def _shown(item: Document) -> Document:
    shown = api.public(item, "id", "iid")
    return shown | {"value": None} if item["hidden"] else shown


def _find(call: Call) -> Document:
    scope = call.params.get("filter[environment_scope]", "*")
    found = call.store.all("variable", project=call.project["id"], key=call.path["key"])
    matching = [item for item in found if item["environment_scope"] == scope] or found[:1]
    return api.require(matching[0] if matching else None, "Variable")


def _create(call: Call) -> api.Answer:
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
        "variable_type": call.choice("variable_type", _TYPES, "env_var"),
        "protected": call.flag("protected"),
        "masked": call.flag("masked") or hidden,
        "hidden": hidden,
        "raw": call.flag("raw"),
        "environment_scope": scope,
        "description": call.text("description"),
    }
    return api.Answer(_shown(call.store.add("variable", document, project=call.project["id"], name=key)), 201)


def _show(call: Call) -> Document:
    return _shown(_find(call))


def _change(call: Call) -> Document:
    item = _find(call)
    for key in ("value", "environment_scope", "description"):
        item[key] = call.text(key) if key in call.params else item[key]
    item["variable_type"] = call.choice("variable_type", _TYPES, item["variable_type"])
    for key in ("protected", "masked", "raw"):
        item[key] = call.flag(key, default=item[key])
    return _shown(call.store.save("variable", item))


def _delete(call: Call) -> None:
    call.store.delete("variable", _find(call))


ROUTES = (
    Route("GET", "/projects/{id}/variables", _list, MAINTAINER),
    Route("POST", "/projects/{id}/variables", _create, MAINTAINER),
    Route("GET", "/projects/{id}/variables/{key}", _show, MAINTAINER),
    Route("PUT", "/projects/{id}/variables/{key}", _change, MAINTAINER),
    Route("DELETE", "/projects/{id}/variables/{key}", _delete, MAINTAINER),
)
