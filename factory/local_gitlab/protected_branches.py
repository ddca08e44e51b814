"""Protected branches: who may push to and merge into them (docs: Protected branches)."""

import fnmatch
from collections.abc import Iterable
from typing import Any

from factory.local_gitlab import web as api
from factory.local_gitlab.store import Document, Store
from factory.local_gitlab.web import DEVELOPER, MAINTAINER, NO_ROLE, Call, Page, Route


def protection(store: Store, project: Document, branch: str) -> list[Document]:
    """Return the protected-branch rules whose name or wildcard covers a branch."""
    rules = store.all("protected_branch", project=project["id"])
    return [rule for rule in rules if fnmatch.fnmatchcase(branch, rule["name"])]


def may(store: Store, project: Document, branch: str, action: str, user: Document, role: int) -> bool:
    """Tell whether a user may ``push`` to or ``merge`` into a branch (docs: Protected branches)."""
    rules = protection(store, project, branch)
    if not rules:
        return role >= DEVELOPER
    return grants([level for rule in rules for level in rule[f"{action}_access_levels"]], user, role)


def grants(levels: Iterable[Document], user: Document, role: int) -> bool:
    """Tell whether one of a rule's access levels covers a user."""
    return any(
        (level["user_id"] == user["id"] and role >= DEVELOPER)
        or (level["user_id"] is None and level["access_level"] not in {None, NO_ROLE} and role >= level["access_level"])
        for level in levels
    )


def _rules(call: Call) -> Any:
    return Page([_rule(rule) for rule in call.store.all("protected_branch", project=call.project["id"])])


def _rule(rule: Document) -> Document:
    return api.public(rule, "iid")


def levels_given(call: Call, action: str, default: int) -> list[Document]:
    """Return the access levels that a request gives for an action, by ``allowed_to_`` or one ``_access_level``."""
    given = call.params.get(f"allowed_to_{action}")
    if not given:
        simple = call.params.get(f"{action}_access_level", default)
        given = [{"access_level": api.as_int(simple, f"{action}_access_level")}]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise api.bad_request(f"allowed_to_{action} is invalid", key="error")
    names = {NO_ROLE: "No one", DEVELOPER: "Developers + Maintainers", MAINTAINER: "Maintainers", 60: "Administrators"}
    levels = []
    for number, item in enumerate(given, start=1):
        level = item.get("access_level")
        levels.append(
            {
                "id": number,
                "access_level": level if level is None else api.as_int(level, "access_level"),
                "access_level_description": names.get(level or 0, "A user"),
                "user_id": item.get("user_id"),
                "group_id": None,
                "deploy_key_id": None,
            }
        )
    return levels


def _protect(call: Call) -> Any:
    name = str(call.need("name"))
    if call.store.find("protected_branch", name, project=call.project["id"]):
        raise api.conflict(f"Protected branch '{name}' already exists")
    document = {
        "name": name,
        "push_access_levels": levels_given(call, "push", MAINTAINER),
        "merge_access_levels": levels_given(call, "merge", MAINTAINER),
        "unprotect_access_levels": levels_given(call, "unprotect", MAINTAINER),
        "allow_force_push": call.flag("allow_force_push"),
        "code_owner_approval_required": False,
        "inherited": False,
    }
    return api.Answer(_rule(call.store.add("protected_branch", document, project=call.project["id"], name=name)), 201)


def _find_rule(call: Call) -> Document:
    return api.require(call.store.find("protected_branch", call.path["name"], project=call.project["id"]))


def _show_rule(call: Call) -> Any:
    return _rule(_find_rule(call))


def _change_rule(call: Call) -> Any:
    rule = _find_rule(call)
    rule["allow_force_push"] = call.flag("allow_force_push", default=rule["allow_force_push"])
    for action in ("push", "merge", "unprotect"):
        if call.params.get(f"allowed_to_{action}"):
            rule[f"{action}_access_levels"] = levels_given(call, action, MAINTAINER)
    return _rule(call.store.save("protected_branch", rule))


def _unprotect(call: Call) -> Any:
    call.store.delete("protected_branch", _find_rule(call))


_RULES = "/projects/{id}/protected_branches"

ROUTES = (
    Route("GET", _RULES, _rules, DEVELOPER),
    Route("POST", _RULES, _protect, MAINTAINER),
    Route("GET", _RULES + "/{name:.+}", _show_rule, DEVELOPER),
    Route("PATCH", _RULES + "/{name:.+}", _change_rule, MAINTAINER),
    Route("DELETE", _RULES + "/{name:.+}", _unprotect, MAINTAINER),
)
