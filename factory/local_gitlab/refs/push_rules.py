"""A project's push rule, and its check of commits that the API creates (Premium; docs: Project push rules API).

``member_check`` and the checks of committers, signatures and sign-offs are stored but not enforced.
"""

import json
import re
from typing import Any

from factory.local_gitlab.refs import push_rule_check
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import MAINTAINER, Call, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

_KIND = "push_rule"
_PATTERNS = (
    "commit_message_regex",
    "commit_message_negative_regex",
    "branch_name_regex",
    "author_email_regex",
    "file_name_regex",
)
_FLAGS = {
    "deny_delete_tag": None,
    "member_check": False,
    "prevent_secrets": False,
    "commit_committer_check": None,
    "commit_committer_name_check": False,
    "reject_unsigned_commits": None,
    "reject_non_dco_commits": None,
}
# GitLab matches with RE2, which, unlike Python, has no look-around and no backreferences.
_NOT_RE2 = re.compile(r"\(\?<?[=!]|\(\?>|(?<!\\)(?:\\\\)*\\[1-9]")


def _found(context: Context, project: Document) -> Document | None:
    return None if context.tier == "free" else context.store.find(_KIND, _KIND, project=project["id"])


def for_hook(context: Context, project: Document) -> str:
    """Return a project's rule as JSON for the pre-receive hook, or an empty text without a rule."""
    rule = _found(context, project)
    return json.dumps(_show(rule)) if rule else ""


def refuse_branch(call: Call, name: str) -> None:
    """Raise 400 if the project's push rule refuses the name of a new branch."""
    rule = _found(call.context, call.project)
    if rule and name != call.project["default_branch"]:
        _refuse(push_rule_check.branch(rule, name))


def refuse_commit(call: Call, branch: str, sha: str) -> None:
    """Raise 400 if the project's push rule refuses a commit that the API created for a branch."""
    rule = _found(call.context, call.project)
    if rule is None:
        return
    refuse_branch(call, branch)
    git = call.context.repository(call.project).git
    fresh = (sha, "--not", "--all")
    _refuse(push_rule_check.commits(rule, git(*push_rule_check.COMMITS, *fresh)))
    _refuse(push_rule_check.names(rule, git(*push_rule_check.NAMES, *fresh)))
    objects = git(*push_rule_check.OBJECTS, *fresh).encode()
    _refuse(push_rule_check.sizes(rule, git(*push_rule_check.SIZES, stdin=objects)))


def _refuse(reason: str | None) -> None:
    if reason:
        raise api.failed(400, reason)


def _show(rule: Document) -> Document:
    return api.public(rule, "iid")


def _one(call: Call) -> Any:
    api.need_premium(call)
    rule = _found(call.context, call.project)
    return _show(rule) if rule else api.NULL


def _create(call: Call) -> Any:
    api.need_premium(call)
    if _found(call.context, call.project):
        raise api.unprocessable("Project push rule exists", key="error")
    empty = {
        "project_id": call.project["id"],
        "created_at": clock.timestamp(),
        **dict.fromkeys(_PATTERNS),
        **_FLAGS,
        "max_file_size": 0,
    }
    rule = call.store.add(_KIND, _changed(call, empty), project=call.project["id"], name=_KIND)
    return api.Answer(_show(rule), 201)


def _changed(call: Call, rule: Document) -> Document:
    """Return a rule with the request's changes; raises 400 for no changes and for values that GitLab refuses."""
    names = [*_PATTERNS, *_FLAGS, "max_file_size"]
    if not set(names) & set(call.params):
        raise api.bad_request(f"{', '.join(names)} are missing, at least one parameter must be provided", key="error")
    changed = dict(rule)
    for name in _PATTERNS:
        changed[name] = call.text(name) if name in call.params else rule[name]
        _refuse_pattern(name, changed[name] or "")
    for name in _FLAGS:
        changed[name] = call.flag(name) if name in call.params else rule[name]
    changed["max_file_size"] = api.as_int(call.params.get("max_file_size", rule["max_file_size"]), "max_file_size")
    if changed["max_file_size"] < 0:
        raise api.invalid({"max_file_size": ["must be greater than or equal to 0"]})
    return changed


def _refuse_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise api.invalid({name: [f"not valid RE2 syntax: {error}"]}) from None
    if _NOT_RE2.search(pattern):
        raise api.invalid({name: ["not valid RE2 syntax: invalid perl operator"]})


def _find(call: Call) -> Document:
    api.need_premium(call)
    return api.require(_found(call.context, call.project), "Push Rule")


def _change(call: Call) -> Any:
    return _show(call.store.save(_KIND, _changed(call, _find(call))))


def _delete(call: Call) -> Any:
    call.store.delete(_KIND, _find(call))


_RULE = "/projects/{id}/push_rule"

ROUTES = (
    Route("GET", _RULE, _one, MAINTAINER),
    Route("POST", _RULE, _create, MAINTAINER),
    Route("PUT", _RULE, _change, MAINTAINER),
    Route("DELETE", _RULE, _delete, MAINTAINER),
)
