"""Reads and changes issues, and the notes on issues and merge requests."""

from collections.abc import Sequence
from typing import Any

from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Issue, Note


def read(item: Any) -> Issue:
    """Return an issue from GitLab's JSON."""
    return Issue(
        iid=item["iid"],
        title=item["title"],
        description=item["description"] or "",
        state=item["state"],
        labels=tuple(item["labels"]),
        author=item["author"]["username"],
        updated_at=item["updated_at"],
        web_url=item["web_url"],
    )


def get(connection: Connection, iid: int) -> Issue:
    """Return one issue; raises ``NotFound``."""
    with translated(f"show issue #{iid}"):
        return read(connection.project.issues.get(iid).attributes)


def find(connection: Connection, *, labels: Sequence[str] = (), state: str = "opened") -> list[Issue]:
    """Return issues with all the labels, oldest first."""
    with translated("list issues"):
        found = connection.project.issues.list(
            state=state, labels=list(labels), order_by="created_at", sort="asc", get_all=True, per_page=100
        )
        return [read(item.attributes) for item in found]


def create(connection: Connection, *, title: str, description: str, labels: Sequence[str]) -> Issue:
    """Open an issue as the connection's account."""
    with translated("open an issue"):
        created = connection.project.issues.create({"title": title, "description": description, "labels": list(labels)})
        return read(created.attributes)


def relabel(connection: Connection, iid: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Add and remove labels; ignores labels that are already added or removed."""
    body = {"add_labels": ",".join(add), "remove_labels": ",".join(remove)}
    with translated(f"label issue #{iid}"):
        connection.client.http_put(f"{connection.api}/issues/{iid}", post_data=body)


def close(connection: Connection, iid: int) -> None:
    """Close an issue; a closed one stays closed."""
    with translated(f"close issue #{iid}"):
        connection.client.http_put(f"{connection.api}/issues/{iid}", post_data={"state_event": "close"})


def say(connection: Connection, kind: str, iid: int, *, marker: str, body: str) -> Note:
    """Update the account's note with the hidden ``marker``, or create it.

    ``kind`` is ``issues`` or ``merge_requests``. Returns the note.
    """
    text = f"<!-- factory:{marker} -->\n{body}"
    path = f"{connection.api}/{kind}/{iid}/notes"
    with translated(f"write a note on {kind} {iid}"):
        for note in notes(connection, kind, iid):
            if note.author == connection.account and note.body.startswith(f"<!-- factory:{marker} -->"):
                if note.body != text:
                    connection.client.http_put(f"{path}/{note.id}", post_data={"body": text})
                return Note(note.id, note.author, text)
        created: Any = connection.client.http_post(path, post_data={"body": text})
        return Note(created["id"], connection.account, text)


def comment(connection: Connection, kind: str, iid: int, *, body: str) -> None:
    """Create a note on an issue or merge request; ``kind`` is as for ``say``."""
    with translated(f"write a note on {kind} {iid}"):
        connection.client.http_post(f"{connection.api}/{kind}/{iid}/notes", post_data={"body": body})


def notes(connection: Connection, kind: str, iid: int) -> list[Note]:
    """Return the notes on an issue or merge request, oldest first."""
    path = f"{connection.api}/{kind}/{iid}/notes"
    with translated(f"list the notes of {kind} {iid}"):
        found: Any = connection.client.http_list(path, query_data={"sort": "asc", "per_page": 100}, get_all=True)
        return [
            Note(item["id"], item["author"]["username"], item["body"], item["created_at"], item["updated_at"])
            for item in found
        ]
