"""Sets up an empty server as its administrator: accounts, the project, its variables. Idempotent."""

from collections.abc import Mapping
from typing import Any

import gitlab

from factory.gitlab.connect import Connection, translated

DEVELOPER, MAINTAINER = 30, 40


def user(client: gitlab.Gitlab, name: str, *scopes: str) -> tuple[int, str | None]:
    """Create the user if missing; return its id, and a token if it was created (administrators only).

    The token has these scopes, by default ``api``.
    """
    with translated(f"create the user {name}"):
        found: Any = client.http_list("/users", query_data={"username": name}, get_all=True)
        if found:
            return int(found[0]["id"]), None
        created: Any = client.http_post(
            "/users", post_data={"username": name, "name": name, "email": f"{name}@localhost"}
        )
    return int(created["id"]), token(client, int(created["id"]), *scopes)


def token(client: gitlab.Gitlab, number: int, *scopes: str, name: str = "factory") -> str:
    """Create a token with these scopes, by default ``api``, for a user (administrators only)."""
    body = {"name": name, "scopes": list(scopes or ("api",))}
    with translated("create a token"):
        created: Any = client.http_post(f"/users/{number}/personal_access_tokens", post_data=body)
        return str(created["token"])


def local_hooks(client: gitlab.Gitlab) -> None:
    """Allow webhooks to local addresses, where the embedded server's receivers are."""
    with translated("change the instance's settings"):
        client.http_put("/application/settings", post_data={"allow_local_requests_from_web_hooks_and_services": True})


def project(client: gitlab.Gitlab, path: str) -> bool:
    """Create the project if missing; return whether it was created."""
    namespace, _, name = path.rpartition("/")
    with translated(f"create the project {path}"):
        try:
            client.projects.get(path)
        except gitlab.GitlabGetError:
            body = {"name": name, "path": name, "namespace_path": namespace, "default_branch": "main"}
            client.http_post("/projects", post_data=body)
            return True
    return False


def member(connection: Connection, number: int, level: int) -> None:
    """Add a user to the project with an access level; an existing member keeps its level."""
    with translated("add a member"):
        try:
            connection.project.members.get(number)
        except gitlab.GitlabGetError:
            connection.project.members.create({"user_id": number, "access_level": level})


def variables(connection: Connection, values: Mapping[str, tuple[str, bool]]) -> None:
    """Set CI variables, given as name to (value, is secret); secrets are masked."""
    with translated("set the CI variables"):
        known = {item.key: item.value for item in connection.project.variables.list(get_all=True)}
        for key, (value, secret) in values.items():
            body = {"key": key, "value": value, "masked": secret, "protected": secret and key.endswith("_APPLY_TOKEN")}
            if key not in known:
                connection.project.variables.create({**body, "raw": True})
            elif known[key] != value:
                connection.client.http_put(f"{connection.api}/variables/{key}", post_data=body)
