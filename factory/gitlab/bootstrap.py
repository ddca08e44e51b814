"""Makes a project what the factory needs: accounts, protected refs, approvals, labels, variables. Idempotent."""

from collections.abc import Mapping, Sequence
from typing import Any

import gitlab

from factory.gitlab.connect import Connection, translated

NONE, DEVELOPER, MAINTAINER = 0, 30, 40
_COLOURS = ("#1f75cb", "#6699cc", "#8fbc8f", "#d99530", "#dd2b0e", "#9400d3")


def user(client: gitlab.Gitlab, name: str) -> tuple[int, str | None]:
    """Return a user's id, and a token where the user was made now (administrators only)."""
    with translated(f"make the user {name}"):
        found: Any = client.http_list("/users", query_data={"username": name}, get_all=True)
        if found:
            return int(found[0]["id"]), None
        made: Any = client.http_post("/users", post_data={"username": name, "name": name, "email": f"{name}@localhost"})
        token: Any = client.http_post(f"/users/{made['id']}/personal_access_tokens", post_data={"name": "factory"})
        return int(made["id"]), str(token["token"])


def token(client: gitlab.Gitlab, number: int) -> str:
    """Return a new token for a user (administrators only)."""
    with translated("make a token"):
        made: Any = client.http_post(f"/users/{number}/personal_access_tokens", post_data={"name": "factory"})
        return str(made["token"])


def project(client: gitlab.Gitlab, path: str) -> bool:
    """Make the project; tell whether it was made now."""
    namespace, _, name = path.rpartition("/")
    with translated(f"make the project {path}"):
        try:
            client.projects.get(path)
        except gitlab.GitlabGetError:
            body = {"name": name, "path": name, "namespace_path": namespace, "default_branch": "main"}
            client.http_post("/projects", post_data=body)
            return True
    return False


def member(connection: Connection, number: int, level: int) -> None:
    """Give a user a role."""
    with translated("add a member"):
        try:
            connection.project.members.get(number)
        except gitlab.GitlabGetError:
            connection.project.members.create({"user_id": number, "access_level": level})


def settings(connection: Connection) -> None:
    """Set how merge requests are judged and merged; the pipeline definition comes from the protected branch."""
    body = {
        "merge_method": "ff",
        "only_allow_merge_if_pipeline_succeeds": True,
        "allow_merge_on_skipped_pipeline": False,
        "remove_source_branch_after_merge": True,
        "public_jobs": False,
        "ci_config_path": f".gitlab-ci.yml@{connection.project_path}:main",
    }
    with translated("set the project up"):
        connection.client.http_put(connection.api, post_data=body)


def protect_branches(connection: Connection, *, bot: int) -> None:
    """Protect main and the factory's own branches; main takes merges by maintainers and pushes by nobody."""
    only_bot = [{"user_id": bot}]
    rules: Mapping[str, Mapping[str, Any]] = {
        "main": {"push_access_level": NONE, "merge_access_level": MAINTAINER},
        "factory/leases/*": {"allowed_to_push": only_bot, "merge_access_level": NONE},
        "factory/ledger": {"allowed_to_push": only_bot, "merge_access_level": NONE},
        "factory/evidence": {"allowed_to_push": only_bot, "merge_access_level": NONE},
    }
    with translated("protect the branches"):
        known = {rule.name for rule in connection.project.protectedbranches.list(get_all=True)}
        for name, rule in rules.items():
            if name not in known:
                connection.project.protectedbranches.create({"name": name, **rule})


def approvals(connection: Connection, approvers: Sequence[int], *, required: int) -> None:
    """Require approvals of merge requests by these users, given anew after each push (Premium)."""
    with translated("require approvals"):
        body = {"reset_approvals_on_push": True, "merge_requests_author_approval": False}
        connection.client.http_post(f"{connection.api}/approvals", post_data=body)
        if not connection.project.approvalrules.list(get_all=True):
            rule = {"name": "a person", "approvals_required": required, "user_ids": list(approvers)}
            connection.project.approvalrules.create(rule)


def protect_environment(connection: Connection, name: str, *, bot: int, required: int) -> None:
    """Let only the bot start a deployment, and only after ``required`` other maintainers approved it (Premium)."""
    body = {
        "name": name,
        "deploy_access_levels": [{"user_id": bot}],
        "approval_rules": [{"access_level": MAINTAINER, "required_approvals": required}],
    }
    with translated(f"protect the environment {name}"):
        try:
            connection.client.http_get(f"{connection.api}/protected_environments/{name}")
        except gitlab.GitlabHttpError:
            connection.client.http_post(f"{connection.api}/protected_environments", post_data=body)


def labels(connection: Connection, names: Sequence[str]) -> None:
    """Make labels that are missing."""
    with translated("make the labels"):
        known = {label.name for label in connection.project.labels.list(get_all=True)}
        for number, name in enumerate(names):
            if name not in known:
                colour = _COLOURS[number % len(_COLOURS)]
                connection.project.labels.create({"name": name, "color": colour})


def variables(connection: Connection, values: Mapping[str, tuple[str, bool]]) -> None:
    """Set CI variables: name to value and whether it is secret; secrets are masked."""
    with translated("set the CI variables"):
        known = {item.key: item.value for item in connection.project.variables.list(get_all=True)}
        for key, (value, secret) in values.items():
            body = {"key": key, "value": value, "masked": secret, "protected": secret and key.endswith("_APPLY_TOKEN")}
            if key not in known:
                connection.project.variables.create({**body, "raw": True})
            elif known[key] != value:
                connection.client.http_put(f"{connection.api}/variables/{key}", post_data=body)


def runner(client: gitlab.Gitlab) -> str:
    """Register a runner for the instance; return its token (administrators only)."""
    with translated("register the runner"):
        made: Any = client.http_post(
            "/user/runners", post_data={"runner_type": "instance_type", "description": "built-in"}
        )
        return str(made["token"])
