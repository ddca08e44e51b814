"""Manages the project's own runners and their tokens (GitLab docs: Runners API)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from factory.gitlab.connect import Connection, project_id, translated

# The CI variable that .gitlab-ci.yml reads: `own` runners; otherwise GitLab.com's hosted runners with this tag.
VARIABLE, OWN, HOSTED_TAG = "FACTORY_RUNNERS", "own", "saas-linux-small-amd64"
_ACCESS = {True: "ref_protected", False: "not_protected"}


@dataclass(frozen=True)
class Runner:
    """A runner; a ``protected`` one runs only jobs of protected branches. ``status`` is GitLab's."""

    id: int
    name: str
    status: str
    tags: tuple[str, ...]
    protected: bool
    run_untagged: bool
    locked: bool
    paused: bool


def find(connection: Connection) -> list[Runner]:
    """Return the project's own runners, without runners of groups and of the instance."""
    with translated("list the runners"):
        listed: Any = connection.client.http_list(
            f"{connection.api}/runners", get_all=True, query_data={"type": "project_type", "per_page": 100}
        )
        # The list has no tags; only the details of one runner do.
        details: list[Any] = [connection.client.http_get(f"/runners/{item['id']}") for item in listed]
    return [_read(item) for item in details]


def register(connection: Connection, name: str, fields: Mapping[str, Any]) -> str:
    """Create a project runner; return its token, which GitLab shows only once."""
    body = {"runner_type": "project_type", "project_id": project_id(connection), "description": name}
    with translated(f"register the runner {name}"):
        created: Any = connection.client.http_post("/user/runners", post_data=body | _written(fields))
        return str(created["token"])


def change(connection: Connection, number: int, fields: Mapping[str, Any]) -> None:
    """Change fields of a runner."""
    with translated(f"change the runner {number}"):
        connection.client.http_put(f"/runners/{number}", post_data=_written(fields))


def renew(connection: Connection, number: int) -> str:
    """Replace a runner's token and return the new one."""
    with translated(f"renew the token of the runner {number}"):
        renewed: Any = connection.client.http_post(f"/runners/{number}/reset_authentication_token")
        return str(renewed["token"])


def remove(connection: Connection, number: int) -> None:
    """Delete a runner; its token becomes invalid."""
    with translated(f"remove the runner {number}"):
        connection.client.http_delete(f"/runners/{number}")


def hosted(client: Any) -> str:
    """Register an instance runner with the tag of GitLab.com's hosted ones; return its token (administrators only)."""
    body = {"runner_type": "instance_type", "description": "hosted", "tag_list": [HOSTED_TAG]}
    with translated("register the runner"):
        created: Any = client.http_post("/user/runners", post_data=body)
        return str(created["token"])


def _written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as GitLab's API names them."""
    body = {key: value for key, value in fields.items() if key not in {"tags", "protected"}}
    if "tags" in fields:
        body["tag_list"] = list(fields["tags"])
    if "protected" in fields:
        body["access_level"] = _ACCESS[fields["protected"]]
    return body


def _read(item: Mapping[str, Any]) -> Runner:
    return Runner(
        id=int(item["id"]),
        name=str(item["description"] or ""),
        status=str(item["status"]),
        tags=tuple(sorted(item["tag_list"])),
        protected=item["access_level"] == _ACCESS[True],
        run_untagged=bool(item["run_untagged"]),
        locked=bool(item["locked"]),
        paused=bool(item["paused"]),
    )
