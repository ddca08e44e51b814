"""Keeps one issue per ongoing condition, such as drift: finds it by a hidden mark, updates, closes and reopens it.

The mark is the first line of the description, and counts only in an issue by the connection's own account. All issues
of that account are read, because people may change labels and GitLab's search does not find text in HTML comments.
"""

from collections.abc import Sequence
from typing import Literal

from factory.gitlab import issues
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Issue


def find(connection: Connection, mark: str) -> list[Issue]:
    """Return the account's open and closed issues with a description that begins with ``mark``, oldest first."""
    query = {"author_username": connection.account, "state": "all", "order_by": "created_at", "sort": "asc"}
    with translated("list the factory's issues"):
        found = [issues.read(item.attributes) for item in connection.project.issues.list(**query, iterator=True)]
    mine = [item for item in found if item.author == connection.account and item.description.startswith(mark)]
    return sorted(mine, key=lambda item: item.iid)


def open_once(connection: Connection, mark: str, *, title: str, description: str, labels: Sequence[str]) -> Issue:
    """Return the issue with this mark; open one if there is none.

    If two processes open one at the same time, the newer issue is closed.
    """
    if existing := find(connection, mark):
        return existing[0]
    created = issues.create(connection, title=title, description=description, labels=labels)
    oldest = find(connection, mark)[0]
    if oldest.iid < created.iid:
        issues.comment(connection, "issues", created.iid, body=f"Closed: duplicate of #{oldest.iid}.")
        issues.close(connection, created.iid)
    return oldest


def change(
    connection: Connection, iid: int, *, description: str, event: Literal["close", "reopen"] | None = None
) -> None:
    """Change an issue's description, and close or reopen it in the same request."""
    body = {"description": description} | ({"state_event": event} if event else {})
    with translated(f"change issue #{iid}"):
        connection.client.http_put(f"{connection.api}/issues/{iid}", post_data=body)
