"""Sets commit statuses, which block the merge until they are "success"."""

from typing import Literal

from factory.gitlab import pipelines
from factory.gitlab.connect import Connection, translated

State = Literal["pending", "success", "canceled"]
APPROVAL = "factory/approval"
_OPEN = frozenset({"created", "pending", "running"})


def put(connection: Connection, sha: str, *, name: str, state: State, pipeline: int, description: str) -> None:
    """Set a commit status in one pipeline (GitLab docs: Commits API, set commit pipeline status).

    GitLab refuses to set the current state again (``Cannot transition status``), so the current state is read first.
    Only a status that this account made counts: every developer can set one with the same name.
    """
    with translated(f"set the status {name}"):
        known = connection.client.http_list(
            f"{connection.api}/repository/commits/{sha}/statuses",
            get_all=True,
            query_data={"name": name, "pipeline_id": pipeline},
        )
        same = [item for item in known if (item["name"], item["status"]) == (name, state)]
        if same and _own_id(connection) in {(item.get("author") or {}).get("id") for item in same}:
            return
        body = {"name": name, "state": state, "pipeline_id": pipeline, "description": description}
        connection.client.http_post(f"{connection.api}/statuses/{sha}", post_data=body)


def open_others(connection: Connection, sha: str, *, pipeline: int) -> tuple[str, ...]:
    """Return which statuses that others set, and that have not ended, keep a pipeline open: each name with its author.

    Every developer can set one in the pipeline of a merge request. A pipeline's jobs are among a commit's statuses.
    """
    with translated("list the commit statuses"):
        found = connection.client.http_list(
            f"{connection.api}/repository/commits/{sha}/statuses", get_all=True, query_data={"pipeline_id": pipeline}
        )
        held = [item for item in found if item["status"] in _OPEN and item["name"] != APPROVAL]
    if not held:
        return ()
    jobs = {item.id for item in pipelines.jobs(connection, pipeline)}
    bridges = {item.name for item in pipelines.bridges(connection, pipeline)}
    others = [item for item in held if item["id"] not in jobs and item["name"] not in bridges]
    return tuple(f"{item['name']} of {(item.get('author') or {}).get('username', 'somebody')}" for item in others)


def _own_id(connection: Connection) -> int:
    """Return the id of the connection's account."""
    answer = connection.client.http_get("/user")
    return int(answer["id"]) if isinstance(answer, dict) else 0
