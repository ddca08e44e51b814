"""Reads the project's branches, and who pushed to it, from GitLab's own record (GitLab docs: Events API)."""

from collections.abc import Iterator
from dataclasses import dataclass

from factory.errors import NotFound
from factory.gitlab.connect import Connection, translated


@dataclass(frozen=True)
class Push:
    """One push of one branch or tag: who pushed, the ref's short name, and the commit that it then named.

    GitLab records a push of many refs at once without them: ``ref`` and ``sha`` are then empty. A push that deletes a
    ref has no ``sha``.
    """

    account: str
    ref: str
    sha: str


def pushes_since(connection: Connection, day: str) -> Iterator[Push]:
    """Yield the project's pushes after a day (``2026-12-31``), newest first; reads the pages as they are used."""
    path = f"{connection.api}/events"
    query = {"action": "pushed", "after": day, "per_page": 100}
    with translated("list the project's pushes"):
        found = connection.client.http_list(path, iterator=True, query_data=query)
        for item in found:
            given = item["push_data"]
            yield Push(item["author_username"], given["ref"] or "", given["commit_to"] or "")


def head(connection: Connection, branch: str) -> str | None:
    """Return a branch's commit; ``None`` if there is no such branch. Raises the errors of GitLab's answers."""
    try:
        with translated(f"read the branch {branch}"):
            found = connection.project.branches.get(branch)
    except NotFound:
        return None
    return str(found.commit["id"])


def folders(connection: Connection, branch: str, path: str) -> list[str]:
    """Return the names of the folders in a folder of a branch; empty if there is none."""
    try:
        with translated(f"read the folder {path}"):
            found = connection.project.repository_tree(path=path, ref=branch, get_all=True)
    except NotFound:
        return []
    return sorted(str(item["name"]) for item in found if item["type"] == "tree")
