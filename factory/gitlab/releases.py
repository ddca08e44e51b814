"""Reads and creates releases; a release's tag never moves to another commit."""

from typing import Any
from urllib.parse import quote

from factory.errors import Conflict, NotFound
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Release


def read(item: Any) -> Release:
    """Return a release from GitLab's JSON."""
    return Release(
        tag=item["tag_name"],
        name=item["name"],
        commit=item["commit"]["id"],
        description=item["description"] or "",
        created_at=item["created_at"],
    )


def find(connection: Connection) -> list[Release]:
    """Return the project's releases, newest first."""
    with translated("list releases"):
        query = {"order_by": "released_at", "sort": "desc", "per_page": 100}
        found: Any = connection.client.http_list(f"{connection.api}/releases", query_data=query, get_all=True)
        return [read(item) for item in found]


def get(connection: Connection, tag: str) -> Release:
    """Return the release of a tag; raises ``NotFound``."""
    with translated(f"show the release {tag}"):
        return read(connection.client.http_get(f"{connection.api}/releases/{quote(tag, safe='')}"))


def make(connection: Connection, tag: str, *, sha: str, name: str, description: str) -> Release:
    """Create a release of a commit (full SHA), and its tag if missing; return an existing release unchanged.

    Raises ``Conflict`` if the tag or its release is on another commit.
    """
    try:
        found = get(connection, tag)
    except NotFound:
        # If the tag exists, GitLab ignores the requested commit and releases the tag's.
        _refuse_another(tag, sha, _tagged(connection, tag) or sha)
        found = _make(connection, {"tag_name": tag, "ref": sha, "name": name, "description": description})
    _refuse_another(tag, sha, found.commit)
    return found


def _make(connection: Connection, body: dict[str, str]) -> Release:
    tag = body["tag_name"]
    try:
        with translated(f"create the release {tag}"):
            return read(connection.client.http_post(f"{connection.api}/releases", post_data=body))
    except Conflict:
        # Somebody created it in the meantime.
        return get(connection, tag)


def _tagged(connection: Connection, tag: str) -> str | None:
    """Return the commit of a tag, from the list of tags, which a job token may read."""
    with translated(f"find the tag {tag}"):
        query = {"search": f"^{tag}", "per_page": 100}
        path = f"{connection.api}/repository/tags"
        found: Any = connection.client.http_list(path, query_data=query, get_all=True)
        # A tag may point to an object that is not a commit; GitLab refuses to release such a tag.
        return next((item["commit"] and str(item["commit"]["id"]) for item in found if item["name"] == tag), None)


def _refuse_another(tag: str, sha: str, commit: str) -> None:
    if commit != sha:
        raise Conflict(
            f"the tag {tag} is on {commit[:8]}, not on {sha[:8]}",
            hint="A release's tag never moves; release this commit under another tag.",
        )
