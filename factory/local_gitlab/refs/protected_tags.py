"""Protected tags: who may create tags that match a name or wildcard (docs: Protected tags)."""

from typing import Any

from factory.local_gitlab.accounts.access_levels import grants
from factory.local_gitlab.refs.protected_branches import levels_given
from factory.local_gitlab.refs.ref_names import NEVER_IN_A_NAME, covers
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import ADMIN, DEVELOPER, MAINTAINER, NO_ROLE, Call, Page, Route
from factory.local_gitlab.serving.store import Document, Store

REFUSED = "You are not allowed to create this tag as it is protected."
_LEVELS = {NO_ROLE, DEVELOPER, MAINTAINER, ADMIN}


def protection(store: Store, project: Document, tag: str) -> list[Document]:
    """Return the rules with a name or wildcard that matches a tag; ``*`` is the only wildcard."""
    return [rule for rule in _all(store, project) if covers(rule["name"], tag)]


def may_create(store: Store, project: Document, tag: str, user: Document, role: int) -> bool:
    """Return whether a user may create a tag; one matching rule that allows it is enough."""
    rules = protection(store, project, tag)
    if not rules:
        return role >= DEVELOPER
    return any(grants(store, rule["create_access_levels"], user, role) for rule in rules)


def for_hook(store: Store, project: Document, user: Document, role: int) -> str:
    """Return a pushing user's rights for the pre-receive hook, one ``<pattern> <create 0|1>`` per line.

    Leaves out rules that cannot match a tag, so that patterns contain no blanks and no shell wildcards except ``*``.
    """
    return "\n".join(
        f"{rule['name']} {int(grants(store, rule['create_access_levels'], user, role))}"
        for rule in _all(store, project)
        if not NEVER_IN_A_NAME.search(rule["name"])
    )


def _all(store: Store, project: Document) -> list[Document]:
    return store.all("protected_tag", project=project["id"])


def _rule(rule: Document) -> Document:
    return api.public(rule, "id", "iid")


def _rules(call: Call) -> Any:
    return Page([_rule(rule) for rule in _all(call.store, call.project)])


def _protect(call: Call) -> Any:
    name = str(call.need("name"))
    level = call.params.get("create_access_level", MAINTAINER)
    if api.as_int(level, "create_access_level") not in _LEVELS:
        raise api.bad_request("create_access_level does not have a valid value", key="error")
    if call.store.find("protected_tag", name, project=call.project["id"]):
        raise api.unprocessable(["Name has already been taken"])
    document = {"name": name, "create_access_levels": levels_given(call, "create", MAINTAINER)}
    return api.Answer(_rule(call.store.add("protected_tag", document, project=call.project["id"], name=name)), 201)


def _find(call: Call) -> Document:
    return api.require(call.store.find("protected_tag", call.path["name"], project=call.project["id"]))


def _show(call: Call) -> Any:
    return _rule(_find(call))


def _unprotect(call: Call) -> Any:
    call.store.delete("protected_tag", _find(call))


_RULES = "/projects/{id}/protected_tags"

ROUTES = (
    Route("GET", _RULES, _rules, MAINTAINER),
    Route("POST", _RULES, _protect, MAINTAINER),
    Route("GET", _RULES + "/{name}", _show, MAINTAINER),
    Route("DELETE", _RULES + "/{name}", _unprotect, MAINTAINER),
)
