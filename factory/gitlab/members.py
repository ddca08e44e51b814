"""Reads the token's account and the roles of project members."""

from typing import Any

from factory.gitlab.connect import Connection, translated

_ROLES = {10: "guest", 15: "planner", 20: "reporter", 30: "developer", 40: "maintainer", 50: "owner"}


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
