"""Creates pipeline schedules and lists the pipelines that they started."""

from typing import Any

from factory.gitlab import pipelines
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Pipeline

_SOURCE = "schedule"
_ENDED = {"success", "failed"}


def make_once(connection: Connection, *, description: str, ref: str, cron: str) -> None:
    """Create a schedule (UTC), unless one with this description exists."""
    with translated(f"create the schedule {description}"):
        known = connection.project.pipelineschedules.list(get_all=True)
        if all(item.description != description for item in known):
            connection.project.pipelineschedules.create({"description": description, "ref": ref, "cron": cron})


def newest(connection: Connection, *, ref: str, most: int = 20) -> list[Pipeline]:
    """Return at most ``most`` scheduled pipelines of a branch, newest first."""
    query = {"ref": ref, "source": _SOURCE, "per_page": most}
    with translated(f"list the scheduled pipelines of {ref}"):
        found: Any = connection.client.http_list(f"{connection.api}/pipelines", query_data=query, get_all=False)
        read = [pipelines.read(item) for item in found]
    # Older servers ignore the filter.
    return [item for item in read if item.source == _SOURCE]


def last_ended(connection: Connection, *, ref: str) -> Pipeline | None:
    """Return the newest scheduled pipeline of a branch that passed or failed."""
    return next((item for item in newest(connection, ref=ref) if item.status in _ENDED), None)
