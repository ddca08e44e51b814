"""The project's approval settings and approval rules (Premium)."""

from typing import Any

from factory.gitlab.connect import translated
from factory.gitlab.settings.model import Fields, Section, Server, State

KEY = "settings"
_RULE = "rule: "
# GitLab docs: Merge request approvals API, project approvals.
FIELDS = (
    "reset_approvals_on_push",
    "merge_requests_author_approval",
    "merge_requests_disable_committers_approval",
    "disable_overriding_approvers_per_merge_request",
)


def _read(server: Server) -> State:
    client, api = server.connection.client, server.connection.api
    with translated("read the approval rules"):
        settings: Any = client.http_get(f"{api}/approvals")
        rules: Any = client.http_list(f"{api}/approval_rules", get_all=True, query_data={"per_page": 100})
        found: dict[str, Fields] = {KEY: {name: settings.get(name) for name in FIELDS}}
        for rule in rules:
            people = sorted("@" + str(user["username"]) for user in rule["users"])
            found[_RULE + rule["name"]] = {"required": rule["approvals_required"], "people": people}
    return found


def _write(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, server.connection.api
    with translated(f"change the approvals ({key})"):
        if key == KEY:
            client.http_post(f"{api}/approvals", post_data=dict(wanted))
            return
        # GitLab silently ignores users that are not members, so each is looked up first.
        people = [server.who(name)["user_id"] for name in wanted["people"]]
        body = {"name": key.removeprefix(_RULE), "approvals_required": wanted["required"], "user_ids": people}
        if found is None:
            client.http_post(f"{api}/approval_rules", post_data=body)
        else:
            client.http_put(f"{api}/approval_rules/{_number(server, key)}", post_data=body)


def _drop(server: Server, key: str, found: Fields) -> None:
    del found
    if key == KEY:
        return
    with translated(f"remove the approval {key}"):
        server.connection.client.http_delete(f"{server.connection.api}/approval_rules/{_number(server, key)}")


def _number(server: Server, key: str) -> int:
    found: Any = server.connection.client.http_list(f"{server.connection.api}/approval_rules", get_all=True)
    return next(int(rule["id"]) for rule in found if _RULE + rule["name"] == key)


def rule(name: str) -> str:
    """Return the key of a rule."""
    return _RULE + name


APPROVALS = Section(
    "approvals",
    _read,
    _write,
    _drop,
    premium=True,
    substitute="the factory counts approvals of the commit; its commit status factory/approval blocks the merge until "
    "then, and nobody can push to main",
)
