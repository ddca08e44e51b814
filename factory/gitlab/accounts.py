"""Reads the account, scopes and expiry of a token, and what an account may do with a project."""

from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import gitlab

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab.connect import Connection, translated
from factory.system import clock

# GitLab docs: Personal access token scopes; `api` includes read, write and git over HTTP.
_SCOPE = "api"
# In seconds: how long before its end a token is spoken of.
_SOON = 7 * 86_400
_ROLES = {10: "guest", 15: "planner", 20: "reporter", 30: "developer", 40: "maintainer", 50: "owner"}


@dataclass(frozen=True)
class TokenScope:
    """A token's account (name and id), scopes and expiry date (may be empty), and the server's version."""

    username: str
    number: int
    scopes: tuple[str, ...]
    expires: str
    version: str


def look(connection: Connection) -> TokenScope:
    """Return the scope of the connection's token.

    Raises ``Unauthorized`` if GitLab rejects the token, ``Refused`` if it lacks the scope ``api``, and ``Unreachable``.
    """
    client = connection.client
    with translated("show the token's account"):
        user: Any = client.http_get("/user")
        server: Any = client.http_get("/version")
        own = _own_token(connection)
    scopes = tuple(own.get("scopes") or ())
    if scopes and _SCOPE not in scopes:
        raise Refused(
            f"the token of {user['username']} has the scopes {', '.join(scopes)}; it needs `{_SCOPE}`",
            hint="Create a token with the scope `api`: in GitLab, Preferences, Access tokens.",
        )
    return TokenScope(
        str(user["username"]), int(user["id"]), scopes, str(own.get("expires_at") or ""), str(server["version"])
    )


def scopes_in_project(connection: Connection) -> tuple[str, ...]:
    """Return the scopes of a token that may read the project; empty where GitLab tells none.

    Raises ``Unauthorized``, ``NotFound`` if the token may not see the project, and ``Unreachable``.
    """
    with translated(f"show {connection.project_path}"):
        connection.client.http_get(connection.api)
        own = _own_token(connection)
    return tuple(own.get("scopes") or ())


def _own_token(connection: Connection) -> Any:
    """Return what GitLab tells of the connection's token; not every version does of project and group tokens."""
    try:
        return connection.client.http_get("/personal_access_tokens/self")
    except gitlab.GitlabHttpError:
        return {}


def expiry(connection: Connection) -> str:
    """Return the day on which the connection's token ends, or an empty text where GitLab tells none."""
    with translated("show the token"):
        own: Any = connection.client.http_get("/personal_access_tokens/self")
    return str(own.get("expires_at") or "")


def ending(username: str, expires: str, url: str, *, renew: str = "--browser") -> str:
    """Return a line about a token that ends within a week, with the command that renews it, or an empty text."""
    if not expires or date.fromisoformat(expires) > clock.after(_SOON).date():
        return ""
    return f"the token of {username} ends on {expires}: renew it with `factory connect {url} {renew}`"


def adopt(connection: Connection, *, make: bool) -> bool:
    """Return whether the project exists; with ``make``, create a missing one, private and empty.

    Raises ``NotFound`` if its group does not exist, ``Refused`` if the account may not create the project.
    """
    client, path = connection.client, connection.project_path
    try:
        with translated(f"show {path}"):
            client.http_get(connection.api)
    except NotFound:
        if make:
            _make(connection)
        return False
    return True


def _make(connection: Connection) -> None:
    client, (folder, _, name) = connection.client, connection.project_path.rpartition("/")
    body: dict[str, Any] = {"name": name, "path": name, "visibility": "private", "default_branch": "main"}
    with translated(f"create the project {connection.project_path}"):
        user: Any = client.http_get("/user")
        if folder and folder != user["username"]:
            try:
                found: Any = client.http_get(f"/namespaces/{quote(folder, safe='')}")
            except gitlab.GitlabHttpError as error:
                if error.response_code != HTTPStatus.NOT_FOUND:
                    raise
                raise NotFound(
                    f"you have access to no group {folder}", hint="Create the group first, or name another one."
                ) from None
            body["namespace_id"] = found["id"]
        try:
            client.http_post("/projects", post_data=body)
        except gitlab.GitlabHttpError as error:
            # Somebody created it in the meantime: use it.
            if "has already been taken" not in str(error.error_message):
                raise


def myself(connection: Connection) -> tuple[str, str, str]:
    """Return the account's user name, full name and e-mail address."""
    with translated("show the token's account"):
        found: Any = connection.client.http_get("/user")
        return str(found["username"]), str(found["name"]), str(found.get("email") or f"{found['username']}@localhost")


def role(connection: Connection, username: str) -> str:
    """Return GitLab's name of a user's role in the project, or ``none``."""
    with translated("list the project's members"):
        path = f"{connection.api}/members/all"
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
        for member in found:
            if member["username"] == username:
                return _ROLES.get(member["access_level"], "none")
    return "none"


def rank(connection: Connection, number: int) -> int:
    """Return a user's access level in the project, direct or inherited; 0 if not a member."""
    with translated("show the member"):
        try:
            found: Any = connection.client.http_get(f"{connection.api}/members/all/{number}")
        except gitlab.GitlabHttpError as error:
            if error.response_code == HTTPStatus.NOT_FOUND:
                return 0
            raise
    return int(found["access_level"])


def distinct(operator: TokenScope, other: TokenScope) -> None:
    """Raise ``Conflict`` if both tokens belong to one account, which would approve its own work."""
    if operator.number == other.number:
        raise Conflict(
            f"both tokens belong to {operator.username}",
            hint="Create a second account for the factory, sign in with it, and create its token there.",
        )


def address(text: str) -> str:
    """Return a server's base URL; raises ``InvalidInput`` unless it is https, or http on this machine."""
    parts = urlsplit(text)
    local = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
    if not parts.hostname or not (parts.scheme == "https" or local) or parts.username or parts.query or parts.fragment:
        raise InvalidInput(f"{text!r} is not an https URL", hint="Name the server like https://gitlab.com.")
    return text.rstrip("/")


def token_page(url: str) -> str:
    """Return the address of GitLab's form for a new token, with name and scope filled in.

    Source: docs.gitlab.com/user/profile/personal_access_tokens, "Prefill personal access token name and scopes".
    """
    return f"{url}/-/user_settings/personal_access_tokens?name=factory&scopes={_SCOPE}"
