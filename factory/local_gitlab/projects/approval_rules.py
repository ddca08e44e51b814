"""A project's approval rules and approval settings for merge requests (Premium)."""

from typing import Any

from factory.local_gitlab.accounts import membership, namespaces
from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.refs.protected_branches import protection
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, MAINTAINER, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store

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


def required(context: Context, project: Document, branch: str) -> list[Document]:
    """Return the rules that merge requests into a branch must satisfy; none on Free."""
    if context.tier == "free":
        return []
    protected = {rule["id"] for rule in protection(context.store, project, branch)}
    return [rule for rule in context.store.all(_KIND, project=project["id"]) if _applies(rule, protected)]


def _applies(rule: Document, protected: set[int]) -> bool:
    """Return whether a rule applies to a target branch, which the ``protected`` rules match."""
    if rule["applies_to_all_protected_branches"]:
        return bool(protected)
    chosen = rule.get("_protected_branches", [])
    return not chosen or bool(protected & set(chosen))


def eligible(store: Store, rule: Document) -> set[int]:
    """Return the users who can satisfy a rule; without its own users and groups everyone can, and the set is empty."""
    return {*rule["_users"], *(user for group in _groups(store, rule) for user in _members(store, group))}


def left(context: Context, project: Document, request: Document) -> int:
    """Return how many approvals the project's rules still require for a merge request."""
    approvers = {item["user"] for item in request["_approved_by"]}
    missing = 0
    for rule in required(context, project, request["target_branch"]):
        people = eligible(context.store, rule)
        missing += max(0, rule["approvals_required"] - len(approvers & people if people else approvers))
    return missing


def _groups(store: Store, rule: Document) -> list[Document]:
    found = (store.get("namespace", number) for number in rule.get("_groups", []))
    return [group for group in found if group is not None]


def _members(store: Store, group: Document) -> list[int]:
    return [item["user_id"] for item in membership.of_group(store, group) if item["access_level"] >= DEVELOPER]


def _list(call: Call) -> Any:
    api.need_premium(call)
    return Page([_show(call, rule) for rule in call.store.all(_KIND, project=call.project["id"])])


def _show(call: Call, rule: Document) -> Document:
    chosen = (call.store.get("protected_branch", number) for number in rule.get("_protected_branches", []))
    return api.public(rule, "iid") | {
        "users": [by_id(call.context, number) for number in rule["_users"]],
        "eligible_approvers": [by_id(call.context, number) for number in sorted(eligible(call.store, rule))],
        "groups": [namespaces.in_project(group) for group in _groups(call.store, rule)],
        "protected_branches": [api.public(branch, "iid") for branch in chosen if branch is not None],
    }


def _create(call: Call) -> Any:
    api.need_premium(call)
    call.need("name")
    call.need("approvals_required")
    document = {
        "name": "",
        "rule_type": _rule_type(call),
        "approvals_required": 0,
        "contains_hidden_groups": False,
        "applies_to_all_protected_branches": False,
        "_users": [],
        "_groups": [],
        "_protected_branches": [],
    }
    changed = _changed(call, document)
    rule = call.store.add(_KIND, changed, project=call.project["id"], name=changed["name"])
    return api.Answer(_show(call, rule), 201)


def _rule_type(call: Call) -> str:
    """Return the type of a new rule; raises 400 for a second rule that anyone satisfies."""
    kind = call.choice("rule_type", ("regular", "any_approver", "report_approver"), "regular")
    if kind == "report_approver":
        raise api.unsupported(f"rule_type {kind}")
    if kind == "any_approver" and call.store.all(_KIND, project=call.project["id"], rule_type=kind):
        raise api.invalid({"rule_type": ["any-approver for the project already exists"]})
    return kind


def _changed(call: Call, rule: Document) -> Document:
    """Return a rule with the request's changes.

    Silently drops users who are not members and groups that the caller cannot see, as GitLab does.
    """
    api.refuse_unsupported(call, ("report_type", "usernames", "scanners", "severity_levels", "vulnerability_states"))
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
        changed["_users"] = [number for number in _numbers(call, "user_ids") if number in members]
    if "group_ids" in call.params:
        groups = (namespaces.visible_group(call, number) for number in _numbers(call, "group_ids"))
        changed["_groups"] = [group["id"] for group in groups if group is not None]
    if "protected_branch_ids" in call.params:
        branches = {item["id"] for item in call.store.all("protected_branch", project=call.project["id"])}
        numbers = _numbers(call, "protected_branch_ids")
        if not set(numbers) <= branches:
            raise api.not_found()
        changed["_protected_branches"] = numbers
    return changed


def _numbers(call: Call, name: str) -> list[int]:
    return list(dict.fromkeys(api.as_int(number, name) for number in call.strings(name) or []))


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
