"""Issues that stand for something that is so: found again by a hidden mark, changed in place, closed, reopened.

The mark is the first line of the description, and counts only in an issue of the connection's own account. Labels are
a person's to change, and GitLab's search does not see what a comment of HTML holds; so all the account's issues are
looked at.
"""

from collections.abc import Sequence
from typing import Literal

from factory.gitlab import issues
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Issue


def find(connection: Connection, mark: str) -> list[Issue]:
    """Return the account's issues, open and closed, whose description begins with ``mark``; the oldest first."""
    query = {"author_username": connection.account, "state": "all", "order_by": "created_at", "sort": "asc"}
    with translated("list the factory's issues"):
        found = [issues.read(item.attributes) for item in connection.project.issues.list(**query, iterator=True)]
    mine = [item for item in found if item.author == connection.account and item.description.startswith(mark)]
    return sorted(mine, key=lambda item: item.iid)


def open_once(connection: Connection, mark: str, *, title: str, description: str, labels: Sequence[str]) -> Issue:
    """Return the issue of this mark, opened where there is none.

    Two that open one at the same moment see each other's afterwards: the younger one is closed.
    """
    if there := find(connection, mark):
        return there[0]
    made = issues.create(connection, title=title, description=description, labels=labels)
    oldest = find(connection, mark)[0]
    if oldest.iid < made.iid:
        issues.comment(connection, "issues", made.iid, body=f"Closed: #{oldest.iid} says the same.")
        issues.close(connection, made.iid)
    return oldest


def change(
    connection: Connection, iid: int, *, description: str, event: Literal["close", "reopen"] | None = None
) -> None:
    """Give an issue another description, and in the same request close or reopen it."""
    body = {"description": description} | ({"state_event": event} if event else {})
    with translated(f"change issue #{iid}"):
        connection.client.http_put(f"{connection.api}/issues/{iid}", post_data=body)
