"""What an administrator makes of an empty server: accounts, the project, its variables. Idempotent."""

from collections.abc import Mapping
from typing import Any

import gitlab

from factory.gitlab.connect import Connection, translated

DEVELOPER, MAINTAINER = 30, 40


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


def local_hooks(client: gitlab.Gitlab) -> None:
    """Let webhooks call this machine: whoever listens for them on an embedded server's is here too."""
    with translated("change the settings of the instance"):
        client.http_put("/application/settings", post_data={"allow_local_requests_from_web_hooks_and_services": True})


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
