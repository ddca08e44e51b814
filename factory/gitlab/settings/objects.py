"""Reads and writes labels, members, schedules, resource groups and webhooks."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from factory.errors import NotFound, Refused
from factory.gitlab.connect import translated
from factory.gitlab.settings.model import LEVELS, Fields, Section, Server, State, keyed, number_of, role

_COLOUR = "#1f75cb"
# GitLab docs: Project webhooks API; `token_present` is returned since 19.0.
_PRESENT, _CARRIES = "token_present", "secret_token"
EVENTS = ("push", "issues", "merge_requests", "pipeline", "job", "note", "deployment", "releases", "tag_push")


def _list(server: Server, name: str) -> list[Mapping[str, Any]]:
    with translated(f"list the {name.replace('_', ' ')}"):
        found: Any = server.connection.client.http_list(
            f"{server.connection.api}/{name}", get_all=True, query_data={"per_page": 100}
        )
        return list(found)


def _read_labels(server: Server) -> State:
    return {
        item["name"]: {"color": str(item["color"]).lower(), "description": item["description"]}
        for item in _list(server, "labels")
    }


def _write_label(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, f"{server.connection.api}/labels"
    with translated(f"write the label {key}"):
        if found is None:
            client.http_post(api, post_data={"name": key, "color": _COLOUR, **wanted})
        else:
            client.http_put(f"{api}/{quote(key, safe='')}", post_data=dict(wanted))


def _drop_label(server: Server, key: str, found: Fields) -> None:
    del found
    with translated(f"remove the label {key}"):
        server.connection.client.http_delete(f"{server.connection.api}/labels/{quote(key, safe='')}")


def _read_members(server: Server) -> State:
    """Return the role of each member, direct or inherited from a group."""
    return {item["username"]: {"role": role(item["access_level"])} for item in _list(server, "members/all")}


def _write_member(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, f"{server.connection.api}/members"
    level = {"access_level": LEVELS[wanted["role"]]}
    with translated(f"give {key} its role"):
        number = _user(server, key)
        direct = found is not None and any(item["username"] == key for item in _list(server, "members"))
        if direct:
            client.http_put(f"{api}/{number}", post_data=level)
        else:
            client.http_post(api, post_data={"user_id": number, **level})


def _drop_member(server: Server, key: str, found: Fields) -> None:
    del found
    if all(item["username"] != key for item in _list(server, "members")):
        raise Refused(
            f"{key} is a member through a group and can't be removed in the project",
            hint="Remove it from the group, name it in policies/gitlab.yml, or remove `members` from `enforce`.",
        )
    with translated(f"remove the member {key}"):
        server.connection.client.http_delete(f"{server.connection.api}/members/{_user(server, key)}")


def _user(server: Server, name: str) -> int:
    found: Any = server.connection.client.http_list("/users", query_data={"username": name}, get_all=True)
    if not found:
        raise NotFound(f"GitLab has no user {name}", hint="Create the account first; see docs/gitlab.md.")
    return int(found[0]["id"])


def _schedules(server: Server) -> dict[str, Mapping[str, Any]]:
    return keyed(_list(server, "pipeline_schedules"), "description")


def _read_schedules(server: Server) -> State:
    return {
        key: {
            "ref": str(item["ref"]).removeprefix("refs/heads/"),
            "cron": item["cron"],
            "timezone": item["cron_timezone"],
            "active": item["active"],
            "owner": "@" + str((item.get("owner") or {}).get("username")),
        }
        for key, item in _schedules(server).items()
    }


def _write_schedule(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    """Create or change a schedule as its owner, because it runs with the rights of the account that does so."""
    owner = wanted["owner"][1:]
    if owner not in server.acting:
        raise Refused(
            f"the schedule {key} must be written by its owner {owner}, but there is no token of {owner}",
            hint="Connect that account with `factory connect`; see docs/gitlab.md.",
        )
    client, api = server.acting[owner].client, f"{server.connection.api}/pipeline_schedules"
    names = {"ref": "ref", "cron": "cron", "timezone": "cron_timezone", "active": "active"}
    body = {names[name]: value for name, value in wanted.items() if name in names}
    with translated(f"write the schedule {key}"):
        if found is None:
            client.http_post(api, post_data={"description": key, **body})
            return
        number = number_of(_schedules(server), key)
        if found["owner"] != wanted["owner"]:
            client.http_post(f"{api}/{number}/take_ownership")
        client.http_put(f"{api}/{number}", post_data=body)


def _drop_schedule(server: Server, key: str, found: Fields) -> None:
    del found
    number = number_of(_schedules(server), key)
    with translated(f"remove the schedule {key}"):
        server.connection.client.http_delete(f"{server.connection.api}/pipeline_schedules/{number}")


def _read_groups(server: Server) -> State:
    return {item["key"]: {"process_mode": item["process_mode"]} for item in _list(server, "resource_groups")}


def _write_group(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    """Change a resource group; GitLab creates it with the first job that names it."""
    del found
    with translated(f"change the resource group {key}"):
        path = f"{server.connection.api}/resource_groups/{quote(key, safe='')}"
        server.connection.client.http_put(path, post_data=dict(wanted))


def _hooks(server: Server) -> dict[str, Mapping[str, Any]]:
    return keyed(_list(server, "hooks"), "url")


def _read_hooks(server: Server) -> State:
    return {
        key: {
            "events": [name for name in EVENTS if item.get(f"{name}_events")],
            "ssl_verification": item["enable_ssl_verification"],
            **({_CARRIES: item[_PRESENT]} if _PRESENT in item else {}),
        }
        for key, item in _hooks(server).items()
    }


def _write_hook(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, f"{server.connection.api}/hooks"
    body: dict[str, Any] = {f"{name}_events": name in wanted["events"] for name in EVENTS}
    body["enable_ssl_verification"] = wanted["ssl_verification"]
    if _CARRIES in wanted:
        body["token"] = _hook_token(server) if wanted[_CARRIES] else ""
    with translated(f"write the hook {key}"):
        if found is None:
            client.http_post(api, post_data={**body, "url": key})
        else:
            client.http_put(f"{api}/{number_of(_hooks(server), key)}", post_data=body)


def _hook_token(server: Server) -> str:
    if server.hook_token is None:
        raise Refused("the secret token of webhooks is missing", hint="`factory work --webhook PORT` creates it.")
    return server.hook_token().reveal()


def _drop_hook(server: Server, key: str, found: Fields) -> None:
    del found
    with translated(f"remove the hook {key}"):
        server.connection.client.http_delete(f"{server.connection.api}/hooks/{number_of(_hooks(server), key)}")


LABELS = Section("labels", _read_labels, _write_label, _drop_label)
MEMBERS = Section("members", _read_members, _write_member, _drop_member)
SCHEDULES = Section("schedules", _read_schedules, _write_schedule, _drop_schedule, repeatable=True)
RESOURCE_GROUPS = Section("resource_groups", _read_groups, _write_group, maker=lambda _: "the first job that names it")
HOOKS = Section("hooks", _read_hooks, _write_hook, _drop_hook, unspecified=frozenset({_CARRIES}), repeatable=True)
