"""Whether anything moved on GitLab: four small questions instead of a whole look (docs: REST API, `updated_after`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from factory.gitlab.connect import Connection, translated

_LISTS = ("issues", "merge_requests", "pipelines", "deployments")


@dataclass(frozen=True)
class LastChanges:
    """What moved last of each list: its id and when, by GitLab's own clock; nothing where the list is empty."""

    last: Mapping[str, tuple[int, str] | None]


def take(connection: Connection, before: LastChanges | None = None) -> LastChanges:
    """Return what moved last; with an earlier pulse GitLab is asked only for what moved since.

    An answer that did not change is not sent again: it is known by its ETag.
    """
    found: dict[str, tuple[int, str] | None] = {}
    for name in _LISTS:
        known = before.last.get(name) if before else None
        query: dict[str, Any] = {"order_by": "updated_at", "sort": "desc", "per_page": 1}
        if known is not None:
            query["updated_after"] = known[1]
        if name in {"issues", "merge_requests"}:
            query["state"] = "all"
        with translated(f"look whether {name.replace('_', ' ')} moved"):
            newest: Any = connection.client.http_get(f"{connection.api}/{name}", query_data=query)
        found[name] = (int(newest[0]["id"]), str(newest[0]["updated_at"])) if newest else known
    return LastChanges(found)
