"""Runners of a project's own: who they are, and their tokens (GitLab docs: Runners API)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from factory.gitlab.connect import Connection, project_id, translated

# What .gitlab-ci.yml reads: `own` runners, or GitLab.com's hosted ones, which have this tag.
VARIABLE, OWN, HOSTED_TAG = "FACTORY_RUNNERS", "own", "saas-linux-small-amd64"
_ACCESS = {True: "ref_protected", False: "not_protected"}


@dataclass(frozen=True)
class Runner:
    """A runner as GitLab has it; ``protected`` takes jobs of protected branches alone, ``status`` is GitLab's word."""

    id: int
    name: str
    status: str
    tags: tuple[str, ...]
    protected: bool
    run_untagged: bool
    locked: bool
    paused: bool


def find(connection: Connection) -> list[Runner]:
    """Return the project's own runners; those of its groups and of the instance are not looked at."""
    with translated("list the runners"):
        listed: Any = connection.client.http_list(
            f"{connection.api}/runners", get_all=True, query_data={"type": "project_type", "per_page": 100}
        )
        # Only one that is asked for alone tells its tags.
        alone: list[Any] = [connection.client.http_get(f"/runners/{item['id']}") for item in listed]
    return [_read(item) for item in alone]


def register(connection: Connection, name: str, fields: Mapping[str, Any]) -> str:
    """Make a runner of the project; return its token, which GitLab shows this once."""
    body = {"runner_type": "project_type", "project_id": project_id(connection), "description": name}
    with translated(f"register the runner {name}"):
        made: Any = connection.client.http_post("/user/runners", post_data=body | _written(fields))
        return str(made["token"])


def change(connection: Connection, number: int, fields: Mapping[str, Any]) -> None:
    """Give a runner other fields."""
    with translated(f"change the runner {number}"):
        connection.client.http_put(f"/runners/{number}", post_data=_written(fields))


def renew(connection: Connection, number: int) -> str:
    """Return a new token for a runner; the one before is void."""
    with translated(f"renew the token of the runner {number}"):
        made: Any = connection.client.http_post(f"/runners/{number}/reset_authentication_token")
        return str(made["token"])


def remove(connection: Connection, number: int) -> None:
    """Take a runner away; its token is void."""
    with translated(f"remove the runner {number}"):
        connection.client.http_delete(f"/runners/{number}")


def hosted(client: Any) -> str:
    """Register a runner that stands in for GitLab.com's hosted ones; return its token (administrators only)."""
    body = {"runner_type": "instance_type", "description": "hosted", "tag_list": [HOSTED_TAG]}
    with translated("register the runner"):
        made: Any = client.http_post("/user/runners", post_data=body)
        return str(made["token"])


def _written(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields by GitLab's names."""
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
