"""Reads and approves deployments."""

from typing import Any

from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Approval, Deployment


def read(item: Any) -> Deployment:
    """Return a deployment from GitLab's JSON."""
    given = [entry for entry in item.get("approvals") or [] if entry["status"] == "approved"]
    job = item["deployable"] or {}
    return Deployment(
        id=item["id"],
        status=item["status"],
        environment=item["environment"]["name"],
        ref=item["ref"],
        tag=bool(job.get("tag")),
        sha=item["sha"],
        job=job.get("id", 0),
        pipeline=job.get("pipeline", {}).get("id", 0),
        approvals=tuple(
            Approval(entry["user"]["username"], entry.get("created_at") or "", entry.get("comment") or "")
            for entry in given
        ),
        created_at=item["created_at"],
        updated_at=item.get("updated_at") or "",
    )


def find(connection: Connection, *, status: str | None = None, environment: str | None = None) -> list[Deployment]:
    """Return deployments with their approvals, newest first."""
    return [get(connection, item.id) for item in listed(connection, status=status, environment=environment)]


def listed(connection: Connection, *, status: str | None = None, environment: str | None = None) -> list[Deployment]:
    """Return deployments without their approvals, newest first."""
    only = {"status": status, "environment": environment}
    query = {"sort": "desc", "order_by": "id", "per_page": 100} | {key: value for key, value in only.items() if value}
    with translated("list deployments"):
        found: Any = connection.client.http_list(f"{connection.api}/deployments", query_data=query, get_all=True)
        return [read(item) for item in found]


def get(connection: Connection, number: int) -> Deployment:
    """Return one deployment with its approvals; raises ``NotFound``."""
    with translated(f"show deployment {number}"):
        return read(connection.client.http_get(f"{connection.api}/deployments/{number}"))


def approve(connection: Connection, number: int, *, comment: str) -> None:
    """Approve a blocked deployment; ``comment`` names the approved plan."""
    with translated(f"approve deployment {number}"):
        body = {"status": "approved", "comment": comment}
        connection.client.http_post(f"{connection.api}/deployments/{number}/approval", post_data=body)
