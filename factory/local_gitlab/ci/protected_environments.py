"""Protected environments (Premium): who may deploy, and who must approve (docs: Protected environments API)."""

from typing import Any

from factory.local_gitlab.accounts import access_levels
from factory.local_gitlab.ci import environments
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.store import Document

_KIND = "protected_environment"
_INHERITANCE = {"group_inheritance_type": 0}


def _list(call: Call) -> Any:
    api.need_premium(call)
    return Page([_show(rule) for rule in call.store.all(_KIND, project=call.project["id"])])


def _show(rule: Document) -> Document:
    return api.public(rule, "id", "iid")


def _protect(call: Call) -> Any:
    api.need_premium(call)
    name = str(call.need("name"))
    call.need("deploy_access_levels")
    if call.store.find(_KIND, name, project=call.project["id"]):
        raise api.conflict(f"Protected environment '{name}' already exists")
    empty = {"name": name, "deploy_access_levels": [], "required_approval_count": 0, "approval_rules": []}
    environments.ensure(call.store, call.project["id"], name)
    rule = call.store.add(_KIND, _changed(call, empty), project=call.project["id"], name=name)
    return api.Answer(_show(rule), 201)


def _changed(call: Call, rule: Document) -> Document:
    """Return a rule with the request's changes."""
    levels, rules = (access_levels.given(call, key) for key in ("deploy_access_levels", "approval_rules"))
    count = api.as_int(call.params.get("required_approval_count", rule["required_approval_count"]), "approvals")
    more = {**_INHERITANCE, "required_approvals": 1}
    return rule | {
        "deploy_access_levels": access_levels.exchanged(
            call, rule["deploy_access_levels"], levels, "Deploy access levels", **_INHERITANCE
        ),
        "required_approval_count": count,
        "approval_rules": access_levels.exchanged(call, rule["approval_rules"], rules, "Approval rules", **more),
    }


def _find(call: Call) -> Document:
    api.need_premium(call)
    return api.require(call.store.find(_KIND, call.path["name"], project=call.project["id"]))


def _one(call: Call) -> Any:
    return _show(_find(call))


def _change(call: Call) -> Any:
    return _show(call.store.save(_KIND, _changed(call, _find(call))))


def _unprotect(call: Call) -> Any:
    call.store.delete(_KIND, _find(call))


_ALL = "/projects/{id}/protected_environments"
_ONE = _ALL + "/{name:.+}"

ROUTES = (
    Route("GET", _ALL, _list, MAINTAINER),
    Route("POST", _ALL, _protect, MAINTAINER),
    Route("GET", _ONE, _one, MAINTAINER),
    Route("PUT", _ONE, _change, MAINTAINER),
    Route("DELETE", _ONE, _unprotect, MAINTAINER),
)
