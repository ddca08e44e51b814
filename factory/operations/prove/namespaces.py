"""Makes subgroups, and deletes groups and projects at once."""

from collections.abc import Mapping
from urllib.parse import quote

from factory.errors import InvalidInput, NotFound
from factory.gitlab.connect import Connection, translated

GROUPS, PROJECTS = "groups", "projects"
_CANCELED = "canceling"
_RUNNING = frozenset({"created", "waiting_for_resource", "preparing", "pending", "running", "scheduled", _CANCELED})


def find(connection: Connection, kind: str, path: str | int) -> Mapping[str, object] | None:
    """Return a group or project by its path or id, or ``None`` if the account sees none."""
    try:
        return _get(connection, _address(kind, path))
    except NotFound:
        return None


def level(connection: Connection, group: str, number: int) -> int:
    """Return a user's access level in a group, direct or inherited; 0 if not a member."""
    try:
        return int(str(_get(connection, f"{_address(GROUPS, group)}/members/all/{number}")["access_level"]))
    except NotFound:
        return 0


def make_subgroup(connection: Connection, parent: str, name: str) -> None:
    """Create a private group below a group; raises ``NotFound`` without the parent, ``InvalidInput`` if it exists."""
    above = find(connection, GROUPS, parent)
    if above is None:
        raise NotFound(f"you have access to no group {parent}", hint="Create the group first, or name another one.")
    body = {"name": name, "path": name, "parent_id": above["id"], "visibility": "private"}
    with translated(f"create the group {parent}/{name}"):
        connection.client.http_post("/groups", post_data=body)


def cancel_pipelines(connection: Connection) -> bool:
    """Cancel the pipelines of the project that run; return whether one had not ended."""
    with translated("cancel the pipelines"):
        found = connection.client.http_list(f"{connection.api}/pipelines", get_all=True)
        running = [item for item in found if item["status"] in _RUNNING]
        for item in running:
            if item["status"] != _CANCELED:
                connection.client.http_post(f"{connection.api}/pipelines/{item['id']}/cancel")
    return bool(running)


def marked(found: Mapping[str, object]) -> bool:
    """Return whether GitLab only marked a group or project for deletion, and keeps it for some days."""
    return bool(found.get("marked_for_deletion_on") or found.get("marked_for_deletion_at"))


def delete(connection: Connection, kind: str, found: Mapping[str, object]) -> None:
    """Ask GitLab to delete a group or project; what it only marked for deletion, to delete at once.

    Source: GitLab docs, Projects API and Groups API, `permanently_remove`. GitLab deletes it some time afterwards.
    """
    full_path = str(found["full_path" if kind == GROUPS else "path_with_namespace"])
    more = {"permanently_remove": "true", "full_path": full_path} if marked(found) else {}
    with translated(f"delete {full_path}"):
        connection.client.http_delete(_address(kind, str(found["id"])), query_data=more)


def _get(connection: Connection, path: str) -> Mapping[str, object]:
    with translated(f"read {path}"):
        found = connection.client.http_get(path)
        if not isinstance(found, dict):
            raise InvalidInput(f"GitLab's answer to {path} is not an object")
        return found


def _address(kind: str, path: str | int) -> str:
    return f"/{kind}/{quote(str(path), safe='')}"
