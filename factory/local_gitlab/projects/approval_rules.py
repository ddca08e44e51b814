"""A project's approval rules and approval settings for merge requests (Premium)."""

from typing import Any

from factory.local_gitlab.accounts import membership
from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document

_KIND = "approval_rule"
_MOST = 100
# Settings of a new project (docs: Merge request approval settings).
SETTINGS: dict[str, Any] = {
    "approvals_before_merge": 0,
    "reset_approvals_on_push": True,
    "selective_code_owner_removals": False,
    "merge_requests_author_approval": False,
    "merge_requests_disable_committers_approval": False,
    "disable_overriding_approvers_per_merge_request": False,
    "require_password_to_approve": False,
}


def holds(context: Context, project: Document, setting: str) -> bool:
    """Return whether an approval setting is on; on Free all are off, so approvals stay and authors may approve."""
    return context.tier != "free" and bool(project["_approvals"][setting])


def required(context: Context, project: Document) -> list[Document]:
    """Return the rules that a project's merge requests must satisfy; none on Free."""
    if context.tier == "free":
        return []
    rules: list[Document] = context.store.all(_KIND, project=project["id"])
    return rules


def _list(call: Call) -> Any:
    api.need_premium(call)
    return Page([_show(call, rule) for rule in required(call.context, call.project)])


def _show(call: Call, rule: Document) -> Document:
    users = [by_id(call.context, number) for number in rule["_users"]]
    return api.public(rule, "iid") | {
        "users": users,
        "eligible_approvers": users,
        "groups": [],
        "protected_branches": [],
    }


def _create(call: Call) -> Any:
    api.need_premium(call)
    call.need("name")
    call.need("approvals_required")
    document = {
        "name": "",
        "rule_type": "regular",
        "approvals_required": 0,
        "contains_hidden_groups": False,
        "applies_to_all_protected_branches": False,
        "_users": [],
    }
    changed = _changed(call, document)
    rule = call.store.add(_KIND, changed, project=call.project["id"], name=changed["name"])
    return api.Answer(_show(call, rule), 201)


def _changed(call: Call, rule: Document) -> Document:
    """Return a rule with the request's changes; silently drops users who are not members, as GitLab does."""
    name = str(call.params.get("name") or rule["name"])
    same = call.store.find(_KIND, name, project=call.project["id"])
    if same is not None and same["id"] != rule.get("id"):
        raise api.invalid({"name": ["has already been taken"]})
    count = api.as_int(call.params.get("approvals_required", rule["approvals_required"]), "approvals_required")
    if not 0 <= count <= _MOST:
        limit = "greater than or equal to 0" if count < 0 else f"less than or equal to {_MOST}"
        raise api.invalid({"approvals_required": [f"must be {limit}"]})
    changed = rule | {"name": name, "approvals_required": count}
    protected = "applies_to_all_protected_branches"
    changed[protected] = call.flag(protected, default=rule[protected])
    if "user_ids" in call.params:
        members = {member["user_id"] for member in membership.of_all(call.store, call.project)}
        numbers = [api.as_int(number, "user_ids") for number in call.strings("user_ids") or []]
        changed["_users"] = [number for number in dict.fromkeys(numbers) if number in members]
    return changed


def _find(call: Call) -> Document:
    api.need_premium(call)
    found = api.require(call.store.get(_KIND, call.iid("rule_id")))
    if call.store.by_iid(_KIND, call.project["id"], found["iid"]) != found:
        raise api.not_found()
    return found


def _one(call: Call) -> Any:
    return _show(call, _find(call))


def _change(call: Call) -> Any:
    rule = _changed(call, _find(call))
    call.store.rename(_KIND, rule, rule["name"])
    return _show(call, call.store.save(_KIND, rule))


def _delete(call: Call) -> Any:
    call.store.delete(_KIND, _find(call))


def _settings(call: Call) -> Any:
    api.need_premium(call)
    return SETTINGS | call.project["_approvals"]


def _change_settings(call: Call) -> Any:
    settings: Document = _settings(call)
    if not set(settings) & set(call.params):
        names = ", ".join(settings)
        raise api.bad_request(f"{names} are missing, at least one parameter must be provided", key="error")
    for key, value in settings.items():
        number = call.params.get(key, value)
        settings[key] = call.flag(key, default=value) if isinstance(value, bool) else api.as_int(number, key)
    call.store.save("project", call.project | {"_approvals": settings})
    return api.Answer(settings, 201)


_RULES = "/projects/{id}/approval_rules"
_RULE = _RULES + "/{rule_id}"

ROUTES = (
    Route("GET", _RULES, _list),
    Route("POST", _RULES, _create, MAINTAINER),
    Route("GET", _RULE, _one),
    Route("PUT", _RULE, _change, MAINTAINER),
    Route("DELETE", _RULE, _delete, MAINTAINER),
    Route("GET", "/projects/{id}/approvals", _settings),
    Route("POST", "/projects/{id}/approvals", _change_settings, MAINTAINER),
)
