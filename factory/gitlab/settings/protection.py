"""Reads and writes protected branches, tags and environments: who may push, merge, create and deploy.

Nothing is unprotected during a change. If GitLab can't change levels in place (Free: gitlab-org/gitlab#383614), a
wildcard rule that grants nobody access (a cover) protects the branch until its new rule exists.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from factory.gitlab.connect import translated
from factory.gitlab.settings.compare import normal
from factory.gitlab.settings.model import Fields, Section, Server, State, UnsupportedField

_ACTIONS = ("push", "merge", "unprotect")
COVER = "*"


def _path(server: Server, kind: str, name: str = "") -> str:
    return f"{server.connection.api}/{kind}" + (f"/{quote(name, safe='')}" if name else "")


def _list(server: Server, kind: str) -> list[Mapping[str, Any]]:
    with translated(f"list the {kind.replace('_', ' ')}"):
        found: Any = server.connection.client.http_list(_path(server, kind), get_all=True, query_data={"per_page": 100})
        return list(found)


def _names(server: Server, levels: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(server.named(level) for level in levels)


def _read_branches(server: Server) -> State:
    return {
        rule["name"]: {
            **{action: _names(server, rule[f"{action}_access_levels"]) for action in _ACTIONS if _has(rule, action)},
            "force_push": bool(rule["allow_force_push"]),
            **({"code_owners": True} if rule.get("code_owner_approval_required") else {}),
        }
        for rule in _list(server, "protected_branches")
    }


def _has(rule: Mapping[str, Any], action: str) -> bool:
    return bool(rule.get(f"{action}_access_levels"))


def _body(server: Server, wanted: Fields) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for action in _ACTIONS:
        names = wanted.get(action)
        if not names:
            continue
        # Free accepts a single role; a list needs Premium.
        if len(names) == 1 and not names[0].startswith("@"):
            body[f"{action}_access_level"] = server.who(names[0])["access_level"]
        else:
            body[f"allowed_to_{action}"] = [server.who(name) for name in names]
    if "force_push" in wanted:
        body["allow_force_push"] = wanted["force_push"]
    if "code_owners" in wanted:
        body["code_owner_approval_required"] = wanted["code_owners"]
    return body


def _write_branch(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, _path(server, "protected_branches")
    with translated(f"protect the branch {key}"):
        if found is None:
            client.http_post(api, post_data={"name": key, **_body(server, wanted)})
            return
        levels = [
            action for action in _ACTIONS if action in wanted and normal(wanted[action]) != normal(found.get(action))
        ]
        if levels and server.tier == "free":
            _replace_covered(server, key, {**found, **wanted})
            return
        body = _body(server, {name: value for name, value in wanted.items() if name not in _ACTIONS})
        if levels:
            rule: Any = client.http_get(f"{api}/{quote(key, safe='')}")
            for action in levels:
                body[f"allowed_to_{action}"] = _exchange(server, rule[f"{action}_access_levels"], wanted[action])
        client.http_patch(f"{api}/{quote(key, safe='')}", post_data=body)


def _exchange(server: Server, existing: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the API value that replaces levels; GitLab only adds levels without ids (gitlab-org/gitlab#551595)."""
    removed = [{"id": level["id"], "_destroy": True} for level in existing if server.named(level) not in names]
    kept = {server.named(level) for level in existing}
    return [*(server.who(name) for name in names if name not in kept), *removed]


def _replace_covered(server: Server, key: str, wanted: Fields) -> None:
    """Replace a rule while a wildcard rule that grants nobody access protects its branches."""
    client, api = server.connection.client, _path(server, "protected_branches")
    cover = key + COVER
    nobody = {"push": ["nobody"], "merge": ["nobody"], "force_push": False}
    if all(rule["name"] != cover for rule in _list(server, "protected_branches")):
        client.http_post(api, post_data={"name": cover, **_body(server, nobody)})
    client.http_delete(f"{api}/{quote(key, safe='')}")
    client.http_post(api, post_data={"name": key, **_body(server, wanted)})
    client.http_delete(f"{api}/{quote(cover, safe='')}")


def left_covers(wanted: State, found: State) -> list[str]:
    """Return the covers that an interrupted change left behind: each matches a named rule and grants nobody access."""
    return [
        name
        for name, fields in found.items()
        if name.endswith(COVER)
        and name not in wanted
        and name.removesuffix(COVER) in wanted
        and all(normal(fields.get(action)) == ["nobody"] for action in ("push", "merge"))
    ]


def _drop_branch(server: Server, key: str, found: Fields) -> None:
    del found
    with translated(f"unprotect the branch {key}"):
        server.connection.client.http_delete(_path(server, "protected_branches", key))


def _fit_branch(key: str, wanted: Fields) -> tuple[Fields, tuple[UnsupportedField, ...]]:
    """Return the part of a branch's rule that Free supports: one role per action; accounts become maintainers."""
    fields, lost = dict(wanted), []
    for action in ("push", "merge"):
        names = wanted.get(action) or []
        if any(name.startswith("@") for name in names) or len(names) > 1:
            fields[action] = ["maintainer"]
            substitute = "every maintainer may: make only the accounts in the policy maintainers"
            lost.append(UnsupportedField("branches", key, action, names, substitute))
    if fields.pop("unprotect", None):
        lost.append(
            UnsupportedField("branches", key, "unprotect", wanted["unprotect"], "every maintainer may unprotect")
        )
    if fields.pop("code_owners", False):
        substitute = "policies/approvals.yml names who must approve which paths, and the gate counts"
        lost.append(UnsupportedField("branches", key, "code_owners", True, substitute))
    return fields, tuple(lost)


def _read_tags(server: Server) -> State:
    return {
        rule["name"]: {"create": _names(server, rule["create_access_levels"])}
        for rule in _list(server, "protected_tags")
    }


def _write_tag(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, _path(server, "protected_tags")
    names = wanted["create"]
    accounts = len(names) > 1 or names[0].startswith("@")
    body = (
        {"allowed_to_create": [server.who(name) for name in names]}
        if accounts
        else {"create_access_level": server.who(names[0])["access_level"]}
    )
    with translated(f"protect the tag {key}"):
        if found is None:
            client.http_post(api, post_data={"name": key, **body})
            return
        # GitLab can't change a protected tag. Main's pipeline records tags that are pushed in between.
        cover = key + COVER
        if all(rule["name"] != cover for rule in _list(server, "protected_tags")):
            client.http_post(api, post_data={"name": cover, "create_access_level": 0})
        client.http_delete(f"{api}/{quote(key, safe='')}")
        client.http_post(api, post_data={"name": key, **body})
        client.http_delete(f"{api}/{quote(cover, safe='')}")


def _drop_tag(server: Server, key: str, found: Fields) -> None:
    del found
    with translated(f"unprotect the tag {key}"):
        server.connection.client.http_delete(_path(server, "protected_tags", key))


def _fit_tag(key: str, wanted: Fields) -> tuple[Fields, tuple[UnsupportedField, ...]]:
    names = wanted["create"]
    if len(names) == 1 and not names[0].startswith("@"):
        return wanted, ()
    lost = UnsupportedField(
        "tags", key, "create", names, "every maintainer may: make only the accounts in the policy maintainers"
    )
    return {**wanted, "create": ["maintainer"]}, (lost,)


def _read_environments(server: Server) -> State:
    return {
        rule["name"]: {
            "deploy": _names(server, rule["deploy_access_levels"]),
            "approvals": {server.named(item): item["required_approvals"] for item in rule["approval_rules"]},
        }
        for rule in _list(server, "protected_environments")
    }


def _write_environment(server: Server, key: str, wanted: Fields, found: Fields | None) -> None:
    client, api = server.connection.client, _path(server, "protected_environments")
    with translated(f"protect the environment {key}"):
        if found is None:
            body = {
                "name": key,
                "deploy_access_levels": [server.who(name) for name in wanted["deploy"]],
                "approval_rules": [
                    {**server.who(name), "required_approvals": count} for name, count in wanted["approvals"].items()
                ],
            }
            client.http_post(api, post_data=body)
            return
        rule: Any = client.http_get(_path(server, "protected_environments", key))
        existing = {server.named(item): item for item in rule["approval_rules"]}
        rules: list[dict[str, Any]] = [
            {"id": item["id"], "_destroy": True} for name, item in existing.items() if name not in wanted["approvals"]
        ]
        for name, count in wanted["approvals"].items():
            mine = {"id": existing[name]["id"]} if name in existing else server.who(name)
            rules.append({**mine, "required_approvals": count})
        levels = _exchange(server, rule["deploy_access_levels"], wanted["deploy"])
        body = {"deploy_access_levels": levels, "approval_rules": rules}
        client.http_put(_path(server, "protected_environments", key), post_data=body)


def _drop_environment(server: Server, key: str, found: Fields) -> None:
    del found
    with translated(f"unprotect the environment {key}"):
        server.connection.client.http_delete(_path(server, "protected_environments", key))


BRANCHES = Section("branches", _read_branches, _write_branch, _drop_branch, fit=_fit_branch, patterns=True)
TAGS = Section("tags", _read_tags, _write_tag, _drop_tag, fit=_fit_tag, patterns=True)
ENVIRONMENTS = Section(
    "environments",
    _read_environments,
    _write_environment,
    _drop_environment,
    premium=True,
    substitute="the manual job of the protected branch, which only people who may merge can start; the approval names "
    "the plan's manifest, and the recorder refuses any other",
)
