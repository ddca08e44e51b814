"""Makes service accounts in a project's top-level group, and their tokens (GitLab docs: Service accounts API).

Their owner makes them by the API on every tier; a personal namespace has none.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab.connect import Connection, translated
from factory.model.secret import Secret

# The scope of the factory's tokens; `api` includes git over HTTP.
SCOPE = "api"
# A user's name is at most 255 characters; each starts with the path of the project, since it is unique on the server.
_LONGEST, _PLAIN = 200, re.compile("[a-z0-9]+(/[a-z0-9]+)*")


@dataclass(frozen=True)
class Group:
    """A top-level group whose service accounts the connection's person may make, and those that exist, by name."""

    path: str
    accounts: Mapping[str, int]


def username(project: str, account: str) -> str:
    """Return the user name of a project's service account, such as ``crew-shop-factory-bot``; always the same.

    No two projects share one: if the path has other characters than letters and digits, the name has a part of its
    digest.
    """
    path = project.lower()
    stem = re.sub(r"[^a-z0-9]+", "-", path).strip("-")
    if len(stem) > _LONGEST or not _PLAIN.fullmatch(path):
        stem = f"{stem[:_LONGEST].strip('-')}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"
    return f"{stem}-{account}"


def group(connection: Connection) -> Group | None:
    """Return the project's top-level group, or ``None`` if this person can make no service accounts there."""
    path = connection.project_path.partition("/")[0]
    try:
        with translated(f"list the service accounts of {path}"):
            found = connection.client.groups.get(path, lazy=True).service_accounts.list(get_all=True)
    except (NotFound, Refused, InvalidInput):
        return None
    return Group(path, {str(item.username): int(item.id) for item in found})


def make(connection: Connection, within: Group, name: str) -> int:
    """Make a service account, which has no role yet; return its id. Raises the error of GitLab if its name is taken.

    It may be one that another client made after ``within`` was read.
    """
    if name in within.accounts:
        return within.accounts[name]
    try:
        with translated(f"make the service account {name}"):
            made = connection.client.groups.get(within.path, lazy=True).service_accounts.create(
                {"name": name, "username": name}
            )
            return int(made.id)
    except (Conflict, InvalidInput):
        now = group(connection)
        if now is None or name not in now.accounts:
            raise
        return now.accounts[name]


def new_token(connection: Connection, within: Group, number: int, *, name: str, expires: str) -> Secret:
    """Make a token of a service account that ends on the date ``expires``, and revoke others of the same name.

    These are the token that the new one replaces, and one that an interrupted run made and did not keep.
    """
    path = f"/groups/{quote(within.path, safe='')}/service_accounts/{number}/personal_access_tokens"
    with translated("make a token of a service account"):
        former = [item for item in connection.client.http_list(path, get_all=True) if item["name"] == name]
        made = connection.client.http_post(path, post_data={"name": name, "scopes": [SCOPE], "expires_at": expires})
        if not isinstance(made, dict):
            raise InvalidInput("GitLab's answer has no token")
        for item in former:
            if not item["revoked"]:
                connection.client.http_delete(f"{path}/{item['id']}")
        return Secret(str(made["token"]))
