"""Reads who pushed to a project, from GitLab's own record of pushes (GitLab docs: Events API)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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


def since(connection: Connection, day: str) -> Iterator[Push]:
    """Yield the project's pushes after a day (``2026-12-31``), newest first; reads the pages as they are used."""
    path = f"{connection.api}/events"
    query = {"action": "pushed", "after": day, "per_page": 100}
    with translated("list the project's pushes"):
        found: Any = connection.client.http_list(path, iterator=True, query_data=query)
        for item in found:
            given = item["push_data"]
            yield Push(item["author_username"], given["ref"] or "", given["commit_to"] or "")
