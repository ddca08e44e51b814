"""Reads the state of issues, merge requests and deployments from GitLab."""

from dataclasses import dataclass

from factory.gitlab import deployments, issues, merge_requests, pipelines
from factory.gitlab.connect import Connection
from factory.gitlab.namespace.compute_minutes import ComputeMinutes
from factory.model.deployment import CONFIRM
from factory.model.gitlab import MAIN, Deployment, Issue, MergeRequest


@dataclass(frozen=True)
class Snapshot:
    """Open issues, open merge requests and unfinished deployments of a project, and minutes on hosted runners."""

    url: str
    project: str
    issues: tuple[Issue, ...]
    merge_requests: tuple[MergeRequest, ...]
    waiting_deployments: tuple[Deployment, ...]
    main_pipeline: str
    compute_minutes: ComputeMinutes | None


def take(connection: Connection, minutes: ComputeMinutes | None) -> Snapshot:
    """Return the state of the project as GitLab shows it now; ``minutes`` are those of hosted runners."""
    runs = pipelines.latest(connection, ref=MAIN)
    return Snapshot(
        url=connection.url,
        project=connection.project_path,
        issues=tuple(issues.find(connection)),
        merge_requests=tuple(merge_requests.find(connection)),
        waiting_deployments=tuple(
            item for item in deployments.find(connection, status="blocked") if not _confirmed(connection, item)
        ),
        main_pipeline=f"{runs.id} {runs.status}" if runs else "none",
        compute_minutes=minutes,
    )


def _confirmed(connection: Connection, deployment: Deployment) -> bool:
    """Return whether a deployment has nothing to apply, because an interrupted one was proven and checked instead."""
    name = f"{CONFIRM}-{deployment.environment}"
    return any(job.name == name and job.status == "success" for job in pipelines.jobs(connection, deployment.pipeline))
