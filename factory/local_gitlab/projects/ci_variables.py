"""CI variables of a project (docs: Project-level CI/CD variables API)."""

import re
from collections.abc import Mapping

from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.store import Document

_KIND = "variable"
VARIABLE_TYPES = ("env_var", "file")
_KEY, _LONGEST_KEY = re.compile(r"[A-Za-z0-9_]+"), 255
_SCOPE = re.compile(r"[A-Za-z0-9_/${}. *-]+")
# GitLab docs: Mask a CI/CD variable; the first is for values in which references are expanded.
_MASKABLE, _MASKABLE_RAW = re.compile(r"[A-Za-z0-9_+=/@:.~-]{8,}"), re.compile(r"\S{8,}")


def _list(call: Call) -> Page:
    return Page([_shown(item) for item in _all(call)])


def _all(call: Call) -> list[Document]:
    return call.store.all(_KIND, project=call.project["id"])


def _shown(item: Document) -> Document:
    shown = api.public(item, "id", "iid")
    return shown | {"value": None} if item["hidden"] else shown


def _find(call: Call) -> Document:
    """Return the variable of the call; raises 409 if several match, which ``filter[environment_scope]`` prevents."""
    given = call.params.get("filter")
    scope = given.get("environment_scope") if isinstance(given, Mapping) else None
    scope = call.params.get("filter[environment_scope]", scope)
    found = [item for item in _all(call) if item["key"] == call.path["key"]]
    found = [item for item in found if scope in (None, item["environment_scope"])]
    if len(found) > 1:
        reason = "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"
        raise api.conflict(reason)
    return api.require(found[0] if found else None, "Variable")


def _valid(call: Call, item: Document) -> Document:
    """Return a variable; raises 400 if GitLab refuses its key, value or scope."""
    key, scope = item["key"], item["environment_scope"]
    if "\0" in item["value"]:  # neither PostgreSQL nor an environment can hold it
        raise api.bad_request("value is invalid", key="error")
    if not _KEY.fullmatch(key):
        raise api.invalid({"key": ["can contain only letters, digits and '_'."]})
    if len(key) > _LONGEST_KEY:
        raise api.invalid({"key": [f"is too long (maximum is {_LONGEST_KEY} characters)"]})
    if not _SCOPE.fullmatch(scope):
        allowed = "letters, digits, '-', '_', '/', '$', '{', '}', '.', '*' and spaces"
        raise api.invalid({"environment_scope": [f"can contain only {allowed}"]})
    if item["masked"] and not (_MASKABLE_RAW if item["raw"] else _MASKABLE).fullmatch(item["value"]):
        raise api.invalid({"value": ["is invalid"]})
    same = (other for other in _all(call) if (other["key"], other["environment_scope"]) == (key, scope))
    if any(other["id"] != item.get("id") for other in same):
        raise api.invalid({"key": [f"({key}) has already been taken"]})
    return item


def _create(call: Call) -> api.Answer:
    key, hidden = str(call.need("key")), call.flag("masked_and_hidden")
    if call.params.get("value") is None:
        raise api.bad_request("value is missing", key="error")
    document = {
        "key": key,
        "value": str(call.params["value"]),
        "variable_type": call.choice("variable_type", VARIABLE_TYPES, "env_var"),
        "protected": call.flag("protected"),
        "masked": call.flag("masked") or hidden,
        "hidden": hidden,
        "raw": call.flag("raw"),
        "environment_scope": call.text("environment_scope") or "*",
        "description": call.text("description"),
    }
    made = call.store.add(_KIND, _valid(call, document), project=call.project["id"], name=key)
    return api.Answer(_shown(made), 201)


def _show(call: Call) -> Document:
    return _shown(_find(call))


def _change(call: Call) -> Document:
    item = _find(call)
    if item["hidden"] and not call.flag("masked", default=True):
        reason = "The visibility setting cannot be changed for masked and hidden variables."
        raise api.invalid({"base": [reason]})
    if call.params.get("value") is not None:
        item["value"] = str(call.params["value"])
    if "description" in call.params:
        item["description"] = call.text("description")
    item["environment_scope"] = call.text("environment_scope") or item["environment_scope"]
    item["variable_type"] = call.choice("variable_type", VARIABLE_TYPES, item["variable_type"])
    for key in ("protected", "masked", "raw"):
        item[key] = call.flag(key, default=item[key])
    return _shown(call.store.save(_KIND, _valid(call, item)))


def _delete(call: Call) -> None:
    call.store.delete(_KIND, _find(call))


_VARIABLES = "/projects/{id}/variables"
_ONE = _VARIABLES + "/{key}"

ROUTES = (
    Route("GET", _VARIABLES, _list, MAINTAINER),
    Route("POST", _VARIABLES, _create, MAINTAINER),
    Route("GET", _ONE, _show, MAINTAINER),
    Route("PUT", _ONE, _change, MAINTAINER),
    Route("DELETE", _ONE, _delete, MAINTAINER),
)
