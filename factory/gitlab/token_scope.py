"""What a token reaches: whose it is, what it may, until when, and what the server is."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import gitlab

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab.connect import Connection, translated

# GitLab docs: Personal access token scopes; `api` holds reading, writing and git over HTTP.
_SCOPE = "api"


@dataclass(frozen=True)
class TokenScope:
    """Whose token it is, its scopes and last day (empty: none), and the server's version; no token is in it."""

    username: str
    number: int
    scopes: tuple[str, ...]
    expires: str
    version: str


def look(connection: Connection) -> TokenScope:
    """Return what the connection's token reaches.

    Raises ``Unauthorized`` for a token that is not taken, ``Refused`` for one that may too little, ``Unreachable``.
    """
    client = connection.client
    with translated("tell who the token belongs to"):
        user: Any = client.http_get("/user")
        server: Any = client.http_get("/version")
        try:
            own: Any = client.http_get("/personal_access_tokens/self")
        except gitlab.GitlabHttpError:
            # A project's or group's token is not asked for here on every version.
            own = {}
    scopes = tuple(own.get("scopes") or ())
    if scopes and _SCOPE not in scopes:
        raise Refused(
            f"the token of {user['username']} may {', '.join(scopes)}; it needs `{_SCOPE}`",
            hint="Make one with the scope `api`: in GitLab, Preferences, Access tokens.",
        )
    return TokenScope(
        str(user["username"]), int(user["id"]), scopes, str(own.get("expires_at") or ""), str(server["version"])
    )


def adopt(connection: Connection, *, make: bool) -> bool:
    """Tell whether the project is there already; with ``make`` a missing one is made, private and empty.

    Raises ``NotFound`` where its group is not there, ``Refused`` where the account may not make it.
    """
    client, path = connection.client, connection.project_path
    try:
        with translated(f"look at {path}"):
            client.http_get(connection.api)
    except NotFound:
        if make:
            _make(connection)
        return False
    return True


def _make(connection: Connection) -> None:
    client, (folder, _, name) = connection.client, connection.project_path.rpartition("/")
    body: dict[str, Any] = {"name": name, "path": name, "visibility": "private", "default_branch": "main"}
    with translated(f"make the project {connection.project_path}"):
        user: Any = client.http_get("/user")
        if folder and folder != user["username"]:
            try:
                found: Any = client.http_get(f"/namespaces/{quote(folder, safe='')}")
            except gitlab.GitlabHttpError as error:
                if error.response_code != HTTPStatus.NOT_FOUND:
                    raise
                raise NotFound(
                    f"there is no group {folder} that you may use", hint="Make it first, or name another."
                ) from None
            body["namespace_id"] = found["id"]
        try:
            client.http_post("/projects", post_data=body)
        except gitlab.GitlabHttpError as error:
            # Somebody made it since we looked: adopted.
            if "has already been taken" not in str(error.error_message):
                raise


def rank(connection: Connection, number: int) -> int:
    """Return a user's access level in the project, inherited ones too; 0 for nobody's."""
    with translated("look at the members"):
        try:
            found: Any = connection.client.http_get(f"{connection.api}/members/all/{number}")
        except gitlab.GitlabHttpError as error:
            if error.response_code == HTTPStatus.NOT_FOUND:
                return 0
            raise
    return int(found["access_level"])


def distinct(operator: TokenScope, other: TokenScope) -> None:
    """Refuse two tokens of one account: nobody approves their own work. Raises ``Conflict``."""
    if operator.number == other.number:
        raise Conflict(
            f"both tokens belong to {operator.username}",
            hint="Make a second account for the factory, sign in as it, and make its token there.",
        )


def address(text: str) -> str:
    """Return a server's base address; raises ``InvalidInput`` unless it is https, or http on this machine."""
    parts = urlsplit(text)
    near = parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost"}
    if not parts.hostname or not (parts.scheme == "https" or near) or parts.username or parts.query or parts.fragment:
        raise InvalidInput(f"{text!r} is no https address", hint="Name the server like https://gitlab.com.")
    return text.rstrip("/")
