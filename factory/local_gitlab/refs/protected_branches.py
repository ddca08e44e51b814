"""Protected branches: who may push to and merge into them (docs: Protected branches)."""

from collections.abc import Sequence
from typing import Any

from factory.local_gitlab.accounts import access_levels
from factory.local_gitlab.accounts.access_levels import grants
from factory.local_gitlab.refs.ref_names import NEVER_IN_A_NAME, covers
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import ADMIN, DEVELOPER, MAINTAINER, NO_ROLE, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store

_LEVELS = {NO_ROLE, DEVELOPER, MAINTAINER, ADMIN}
_PREMIUM = ("unprotect_access_levels", "code_owner_approval_required")


def protection(store: Store, project: Document, branch: str) -> list[Document]:
    """Return the protected-branch rules with a name or wildcard that matches a branch."""
    rules = store.all("protected_branch", project=project["id"])
    return [rule for rule in rules if covers(rule["name"], branch)]


def may(store: Store, project: Document, branch: str, action: str, user: Document, role: int) -> bool:
    """Return whether a user may ``push`` to or ``merge`` into a branch."""
    rules = protection(store, project, branch)
    if not rules:
        return role >= DEVELOPER
    levels = [level for rule in rules for level in rule[f"{action}_access_levels"]]
    return grants(store, levels, user, role)


def for_hook(store: Store, project: Document, user: Document, role: int) -> str:
    """Return a pushing user's rights for the pre-receive hook, one ``<pattern> <push 0|1> <force push 0|1>`` per line.

    Leaves out rules that cannot match a branch, so that patterns contain no blanks and no shell wildcards except ``*``.
    """
    return "\n".join(
        f"{rule['name']} {int(grants(store, rule['push_access_levels'], user, role))} {int(rule['allow_force_push'])}"
        for rule in store.all("protected_branch", project=project["id"])
        if not NEVER_IN_A_NAME.search(rule["name"])
    )


def _rules(call: Call) -> Any:
    search = str(call.params.get("search") or "").lower()
    rules = call.store.all("protected_branch", project=call.project["id"])
    return Page([_rule(call, rule) for rule in rules if search in rule["name"].lower()])


def _rule(call: Call, rule: Document) -> Document:
    return api.public(rule, "iid", *(_PREMIUM if call.context.tier == "free" else ()))


def levels_given(call: Call, action: str, default: int) -> list[Document]:
    """Return the access levels of a new rule for an action.

    Free accepts only the one role of ``<action>_access_level`` and silently ignores ``allowed_to_<action>``.
    """
    name = f"{action}_access_level"
    allowed = _LEVELS - {NO_ROLE} if action == "unprotect" else _LEVELS
    levels = [] if call.context.tier == "free" else access_levels.given(call, f"allowed_to_{action}")
    if not levels or name in call.params:
        levels = [*levels, {"access_level": access_levels.valid_level(call, name, default, allowed)}]
    return _exchanged(call, action, [], levels)


def add(store: Store, project: Document, name: str, *, push: int, merge: int) -> None:
    """Protect a branch: these roles may push and merge, and maintainers may unprotect it."""
    document = {
        "name": name,
        "push_access_levels": [access_levels.of_role(store, push, deploy_key_id=None)],
        "merge_access_levels": [access_levels.of_role(store, merge)],
        "unprotect_access_levels": [access_levels.of_role(store, MAINTAINER)],
        "allow_force_push": False,
        "code_owner_approval_required": False,
        "inherited": False,
    }
    store.add("protected_branch", document, project=project["id"], name=name)


def _exchanged(call: Call, action: str, levels: Sequence[Document], changes: Sequence[Document]) -> list[Document]:
    extra = {"deploy_key_id": None} if action in {"push", "create"} else {}
    return access_levels.exchanged(call, levels, changes, f"{action.capitalize()} access levels", **extra)


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
        "code_owner_approval_required": call.flag("code_owner_approval_required"),
        "inherited": False,
    }
    rule = call.store.add("protected_branch", document, project=call.project["id"], name=name)
    return api.Answer(_rule(call, rule), 201)


def _find_rule(call: Call) -> Document:
    return api.require(call.store.find("protected_branch", call.path["name"], project=call.project["id"]))


def _show_rule(call: Call) -> Any:
    return _rule(call, _find_rule(call))


def _change_rule(call: Call) -> Any:
    """Change a rule; Free can't change access levels (docs: Protected branches API, gitlab-org/gitlab#383614)."""
    rule = _changeable(call)
    rule["allow_force_push"] = call.flag("allow_force_push", default=rule["allow_force_push"])
    if call.context.tier != "free":
        owners = "code_owner_approval_required"
        rule[owners] = call.flag(owners, default=rule[owners])
        for action in ("push", "merge", "unprotect"):
            levels, changes = f"{action}_access_levels", access_levels.given(call, f"allowed_to_{action}")
            rule[levels] = _exchanged(call, action, rule[levels], changes)
    return _rule(call, call.store.save("protected_branch", rule))


def _changeable(call: Call) -> Document:
    """Return the rule of the call; raises 403 if its ``unprotect`` levels do not cover the caller."""
    rule = _find_rule(call)
    levels = rule["unprotect_access_levels"]
    unguarded = call.context.tier == "free" or call.role >= ADMIN or not levels
    if not unguarded and not grants(call.store, levels, call.user, call.role):
        raise api.forbidden()
    return rule


def _unprotect(call: Call) -> Any:
    call.store.delete("protected_branch", _changeable(call))


_RULES = "/projects/{id}/protected_branches"

ROUTES = (
    Route("GET", _RULES, _rules, DEVELOPER),
    Route("POST", _RULES, _protect, MAINTAINER),
    Route("GET", _RULES + "/{name:.+}", _show_rule, DEVELOPER),
    Route("PATCH", _RULES + "/{name:.+}", _change_rule, MAINTAINER),
    Route("DELETE", _RULES + "/{name:.+}", _unprotect, MAINTAINER),
)
