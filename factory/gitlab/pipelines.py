"""Starts and reads pipelines, jobs, logs and artifacts."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from factory.errors import InvalidInput, NotFound
from factory.gitlab.connect import Connection, translated
from factory.model.gitlab import Bridge, Job, Pipeline, Variables

# What a job of the factory writes for it; an app's archive has a limit of its own.
_LARGEST_FILE = 64 * 2**20
# The end of a log says why a job failed.
_LONGEST_LOG, _CHUNK = 16 * 2**20, 65536


def read(item: Any) -> Pipeline:
    """Return a pipeline from GitLab's JSON."""
    return Pipeline(
        id=item["id"],
        status=item["status"],
        sha=item["sha"],
        ref=item["ref"],
        source=item["source"],
        yaml_errors=item.get("yaml_errors"),
        web_url=item["web_url"],
        created_at=item["created_at"],
        duration=item.get("duration"),
    )


def _job(item: Any) -> Job:
    return Job(
        id=item["id"],
        name=item["name"],
        stage=item["stage"],
        status=item["status"],
        failure_reason=item.get("failure_reason"),
        duration=item["duration"],
        allow_failure=item["allow_failure"],
        web_url=item["web_url"],
        started_at=item.get("started_at"),
        finished_at=item.get("finished_at"),
        user=(item.get("user") or {}).get("username", ""),
    )


def get(connection: Connection, number: int) -> Pipeline:
    """Return one pipeline; raises ``NotFound``."""
    with translated(f"show pipeline {number}"):
        return read(connection.client.http_get(f"{connection.api}/pipelines/{number}"))


def of_merge_request(connection: Connection, iid: int) -> list[Pipeline]:
    """Return a merge request's pipelines, newest first."""
    with translated(f"list the pipelines of !{iid}"):
        found: Any = connection.client.http_list(f"{connection.api}/merge_requests/{iid}/pipelines", get_all=True)
        return [read(item) for item in found]


def of_commit(connection: Connection, sha: str, *, ref: str) -> list[Pipeline]:
    """Return a branch's pipelines for a commit, newest first."""
    query = {"sha": sha, "ref": ref}
    with translated(f"list the pipelines of {sha[:8]}"):
        found: Any = connection.client.http_list(f"{connection.api}/pipelines", query_data=query, get_all=True)
        return [read(item) for item in found]


def job(connection: Connection, number: int) -> Job:
    """Return one job; raises ``NotFound``."""
    with translated(f"show job {number}"):
        return _job(connection.client.http_get(f"{connection.api}/jobs/{number}"))


def jobs(connection: Connection, number: int, *, retried: bool = False) -> list[Job]:
    """Return a pipeline's jobs in order of creation; with ``retried`` also the earlier runs of each job."""
    with translated(f"list the jobs of pipeline {number}"):
        path = f"{connection.api}/pipelines/{number}/jobs"
        query = {"per_page": 100, **({"include_retried": True} if retried else {})}
        found: Any = connection.client.http_list(path, get_all=True, query_data=query)
        return sorted((_job(item) for item in found), key=lambda job: job.id)


def bridges(connection: Connection, number: int) -> list[Bridge]:
    """Return a pipeline's jobs that start child pipelines (GitLab docs: Jobs API, list trigger jobs)."""
    with translated(f"list the child pipelines of pipeline {number}"):
        path = f"{connection.api}/pipelines/{number}/bridges"
        found: Any = connection.client.http_list(path, get_all=True, query_data={"per_page": 100})
    children = [(item, item.get("downstream_pipeline") or {}) for item in found]
    return [
        Bridge(item["name"], item["status"], child.get("id", 0), child.get("web_url", "")) for item, child in children
    ]


def errors(connection: Connection, definition: str) -> list[str]:
    """Return what GitLab refuses in the text of a definition of pipelines (GitLab docs: CI Lint API)."""
    with translated("check the pipeline definition"):
        found: Any = connection.client.http_post(f"{connection.api}/ci/lint", post_data={"content": definition})
    return [str(item) for item in found["errors"]]


def create(connection: Connection, ref: str, variables: Variables | None = None) -> Pipeline:
    """Start a pipeline on a branch with pipeline variables."""
    items = [{"key": key, "value": value} for key, value in (variables or {}).items()]
    with translated(f"start a pipeline on {ref}"):
        body = {"ref": ref, "variables": items}
        return read(connection.client.http_post(f"{connection.api}/pipeline", post_data=body))


def variables(connection: Connection, number: int) -> dict[str, str]:
    """Return the variables that a pipeline was started with."""
    with translated(f"list the variables of pipeline {number}"):
        found: Any = connection.client.http_list(f"{connection.api}/pipelines/{number}/variables", get_all=True)
        return {item["key"]: item["value"] for item in found}


def retry(connection: Connection, job: int) -> None:
    """Retry a job."""
    with translated(f"retry job {job}"):
        connection.client.http_post(f"{connection.api}/jobs/{job}/retry")


def play(connection: Connection, job: int, variables: Variables) -> None:
    """Start a manual job with variables."""
    given = [{"key": key, "value": value} for key, value in variables.items()]
    with translated(f"start job {job}"):
        connection.client.http_post(f"{connection.api}/jobs/{job}/play", post_data={"job_variables_attributes": given})


def trace(connection: Connection, job: int) -> str:
    """Return a job's log; of one with more than 16 MiB the end, below a line that says so."""
    kept, size = bytearray(), 0
    with translated(f"show the log of job {job}"):
        answer: Any = connection.client.http_get(f"{connection.api}/jobs/{job}/trace", raw=True, streamed=True)
        with answer:
            for chunk in answer.iter_content(_CHUNK):
                size += len(chunk)
                kept += chunk
                if len(kept) > 2 * _LONGEST_LOG:
                    del kept[:-_LONGEST_LOG]
    text = kept[-_LONGEST_LOG:].decode(errors="replace")
    left = size - _LONGEST_LOG
    return f"[the first {left} bytes of this log are left out]\n{text}" if left > 0 else text


def artifact(connection: Connection, job: int, path: str, *, limit: int = _LARGEST_FILE) -> bytes | None:
    """Return one file of a job's artifacts, or ``None`` if the job has no such file.

    Raises ``InvalidInput`` if the file has more than ``limit`` bytes.
    """
    url = f"{connection.api}/jobs/{job}/artifacts/{quote(path)}"
    try:
        with translated(f"read {path} of job {job}"):
            answer: Any = connection.client.http_get(url, raw=True, streamed=True)
            return _whole(answer, limit, f"{path} of job {job}")
    except NotFound:
        return None


def archive(connection: Connection, job: int, *, limit: int) -> bytes:
    """Return a job's artifacts as a zip archive.

    Raises ``NotFound`` if there are none, ``InvalidInput`` if the archive has more than ``limit`` bytes.
    """
    with translated(f"download the artifacts of job {job}"):
        answer: Any = connection.client.http_get(f"{connection.api}/jobs/{job}/artifacts", raw=True, streamed=True)
        return _whole(answer, limit, f"the archive of job {job}'s artifacts")


def _whole(answer: Any, limit: int, what: str) -> bytes:
    """Return a streamed answer's bytes; raises ``InvalidInput`` for more than ``limit``."""
    found = bytearray()
    with answer:
        for chunk in answer.iter_content(_CHUNK):
            found += chunk
            if len(found) > limit:
                raise InvalidInput(
                    f"{what} has more than {limit} bytes", hint="The factory reads no larger file of a job."
                )
    return bytes(found)


def document(connection: Connection, job: int, path: str) -> Mapping[str, Any]:
    """Return a JSON object from a job's artifacts; empty if the file is missing or not a JSON object."""
    try:
        value = json.loads(artifact(connection, job, path) or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def latest(connection: Connection, *, ref: str) -> Pipeline | None:
    """Return a branch's newest unscheduled pipeline among its last 100."""
    with translated(f"show the newest pipeline of {ref}"):
        query = {"ref": ref, "per_page": 100}
        found: Any = connection.client.http_list(f"{connection.api}/pipelines", query_data=query, get_all=False)
        return next((read(item) for item in found if item["source"] != "schedule"), None)


def newest(connection: Connection, *, limit: int | None = None) -> list[Pipeline]:
    """Return the project's pipelines, newest first: all, or at most ``limit`` (up to 100)."""
    with translated("list the pipelines"):
        path, query = f"{connection.api}/pipelines", {"per_page": limit or 100}
        found: Any = connection.client.http_list(path, query_data=query, get_all=limit is None)
        return [read(item) for item in found]
