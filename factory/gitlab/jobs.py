"""Identifies the running job by its job token."""

from dataclasses import dataclass
from typing import Any

import gitlab

from factory.gitlab.connect import translated


@dataclass(frozen=True)
class RunningJob:
    """A running job; ``tag`` tells whether ``ref`` is a tag.

    ``user`` is the job's account; for a manual job, that is the account that started it.
    """

    id: int
    ref: str
    sha: str
    tag: bool
    pipeline: int
    user: str


def current(api: str, token: str) -> RunningJob:
    """Return the job that a job token belongs to (GitLab docs: Jobs API, get job token's job).

    ``api`` is ``CI_API_V4_URL``. Raises ``Unauthorized`` if the token belongs to no running job, and ``Unreachable``.
    """
    client = gitlab.Gitlab(api.removesuffix("/api/v4"), job_token=token, timeout=30.0)
    client.session.trust_env = False
    with translated("show the job of this token"):
        found: Any = client.http_get("/job")
    return RunningJob(
        found["id"],
        found["ref"],
        found["commit"]["id"],
        found["tag"],
        found["pipeline"]["id"],
        found["user"]["username"],
    )
