"""Sets commit statuses, which block the merge until they are "success"."""

from typing import Literal

from factory.gitlab.connect import Connection, translated

State = Literal["pending", "success", "canceled"]
APPROVAL = "factory/approval"


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


def _own_id(connection: Connection) -> int:
    """Return the id of the connection's account."""
    answer = connection.client.http_get("/user")
    return int(answer["id"]) if isinstance(answer, dict) else 0
