"""Commit statuses: a mark of the factory's in a pipeline, which holds a merge until it is a success."""

from typing import Literal

from factory.gitlab.connect import Connection, translated

State = Literal["pending", "success", "canceled"]
APPROVAL = "factory/approval"


def put(connection: Connection, sha: str, *, name: str, state: State, pipeline: int, description: str) -> None:
    """Set a status of a commit in one pipeline; that pipeline is no success before the status is one.

    GitLab docs: Commits API, set commit pipeline status. A state that is the status's already is refused by GitLab
    (``Cannot transition status``), so it is looked at first.
    """
    with translated(f"set the status {name}"):
        known = connection.client.http_list(
            f"{connection.api}/repository/commits/{sha}/statuses",
            get_all=True,
            query_data={"name": name, "pipeline_id": pipeline},
        )
        if any((item["name"], item["status"]) == (name, state) for item in known):
            return
        body = {"name": name, "state": state, "pipeline_id": pipeline, "description": description}
        connection.client.http_post(f"{connection.api}/statuses/{sha}", post_data=body)
