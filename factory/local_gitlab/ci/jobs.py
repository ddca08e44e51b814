"""The Jobs API: lists and shows jobs, plays, retries and cancels them, and serves logs and artifacts."""

import io
import zipfile
from functools import partial
from typing import Any

from factory.local_gitlab.accounts.accounts import by_id
from factory.local_gitlab.ci import environments
from factory.local_gitlab.ci.states import ACTIVE, FINISHED
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.refs import pipeline_rights
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, GUEST, MAINTAINER, OWNER, PUBLIC, Call, Page, Route
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock


def show(context: Context, project: Document, job: Document) -> Document:
    """Return a job as the API shows it."""
    pipeline = context.store.get("pipeline", job["_pipeline"]) or {}
    keys = ("id", "iid", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at")
    archive = next((item for item in job["artifacts"] if item["file_type"] == "archive"), None)
    return api.public(job, "iid", "exit_code", "failure_reason") | {
        "tag": pipeline["tag"],
        "ref": pipeline["ref"],
        "coverage": None,
        "commit": context.repository(project).one(pipeline["sha"]),
        "pipeline": {key: pipeline[key] for key in keys},
        "user": by_id(context, job["_user"]),
        "project": {"ci_job_token_scope_enabled": True},
        "web_url": f"{context.base_url}/{project['path_with_namespace']}/-/jobs/{job['id']}",
        "artifacts_expire_at": None,
        "archived": False,
        "erased_at": None,
        **({"failure_reason": job["failure_reason"]} if job["status"] == "failed" else {}),
        **({"artifacts_file": {"filename": archive["filename"], "size": archive["size"]}} if archive else {}),
    }


def is_bridge(job: Document) -> bool:
    """Return whether a job starts a pipeline, and no runner takes it."""
    return "trigger" in job["_spec"]


def latest(store: Store, pipeline: Document) -> list[Document]:
    """Return a pipeline's jobs, without earlier runs of retried jobs."""
    found = store.all("job", _pipeline=pipeline["id"])
    return [job for job in found if not job["_retried"]]


def finish(store: Store, job: Document, status: str, reason: str | None = None) -> Document:
    """Finish a job, revoke its token and update its deployment; does nothing if the job is already finished."""
    if job["status"] in FINISHED:
        return job
    now = clock.timestamp()
    seconds = (clock.parse(now) - clock.parse(job["started_at"])).total_seconds() if job["started_at"] else None
    job |= {"status": status, "finished_at": now, "duration": seconds, "failure_reason": reason}
    store.save("job", job)
    if job["_token"]:
        token = store.find("token", job["_token"])
        if token:
            store.save("token", token | {"revoked": True, "active": False})
    environments.follow_job(store, job)
    return job


def cancel(store: Store, job: Document) -> None:
    """Cancel a job that is not finished; the runner of a running job learns of it with its next request."""
    if job["status"] not in FINISHED:
        finish(store, job, "canceled")


def again(store: Store, job: Document, user: Document) -> Document:
    """Run a finished job again as a new job; return the new job."""
    store.save("job", job | {"_retried": True})
    fresh = {key: value for key, value in job.items() if key not in {"id", "iid"}}
    fresh |= {
        "status": "created",
        "created_at": clock.timestamp(),
        "started_at": None,
        "finished_at": None,
        "queued_duration": None,
        "duration": None,
        "failure_reason": None,
        "runner": None,
        "artifacts": [],
        "_token": None,
        "_beat": None,
        "_user": user["id"],
        "_attempt": job["_attempt"] + 1,
        "_deployment": None,
        "_dotenv": {},
    }
    new_job = store.add("job", fresh, project=fresh["_project"], name=fresh["name"])
    if new_job["_environment"]:
        environments.deploy(store, new_job)
    return new_job


def reopen(store: Store, number: int) -> None:
    """Set a pipeline to running and its skipped jobs to created again, with new deployments."""
    pipeline = store.get("pipeline", number) or {}
    store.save("pipeline", pipeline | {"status": "running", "finished_at": None})
    for job in latest(store, pipeline):
        if job["status"] == "skipped":
            waiting = store.save("job", job | {"status": "created", "finished_at": None})
            if waiting["_environment"]:
                environments.deploy(store, waiting)


def _job(call: Call, *, bridges: bool = False) -> Document:
    """Return the call's job; a job that starts a pipeline only with ``bridges``."""
    found = api.require(call.store.get("job", call.iid("job_id")))
    if found["_project"] != call.project["id"] or (is_bridge(found) and not bridges):
        raise api.not_found()
    return found


def _show(call: Call) -> Any:
    return show(call.context, call.project, _job(call))


def _list(call: Call) -> Any:
    scope = call.strings("scope")
    found = call.store.all("job", project=call.project["id"])
    found = [job for job in reversed(found) if not is_bridge(job)]
    found = [job for job in found if scope is None or job["status"] in scope]
    return Page(found, partial(show, call.context, call.project))


def _updatable(call: Call) -> Document:
    """Return the call's job; raises 403 if the user may not run pipelines on its ref."""
    job = _job(call, bridges=True)
    pipeline_rights.need(call, call.store.get("pipeline", job["_pipeline"]) or {})
    return job


def _play(call: Call) -> Any:
    job = _updatable(call)
    if job["status"] != "manual":
        raise api.bad_request("Unplayable Job")
    environments.refuse_unless_may_deploy(call, job)
    variables = call.params.get("job_variables_attributes") or []
    if variables:
        project_settings.refuse_variables(call)
    job |= {
        "status": "created",
        "_played": True,
        "_user": call.user["id"],
        "_manual_variables": [{"key": str(item["key"]), "value": str(item["value"])} for item in variables],
    }
    call.store.save("job", job)
    reopen(call.store, job["_pipeline"])
    call.context.wake_pipelines()
    return show(call.context, call.project, job)


def _retry(call: Call) -> Any:
    job = _updatable(call)
    if job["status"] not in FINISHED or job["_retried"]:
        raise api.forbidden("Job is not retryable")
    environments.refuse_unless_may_deploy(call, job)
    new_job = again(call.store, job, call.user)
    new_job = call.store.save("job", new_job | {"_played": True})
    reopen(call.store, job["_pipeline"])
    call.context.wake_pipelines()
    return api.Answer(show(call.context, call.project, new_job), 201)


def _cancel(call: Call) -> Any:
    job = _updatable(call)
    if job["status"] not in ACTIVE | {"created", "manual"}:
        raise api.forbidden("Job is not cancelable")
    cancel(call.store, job)
    call.context.wake_pipelines()
    return api.Answer(show(call.context, call.project, job), 201)


def _trace(call: Call) -> Any:
    path = call.context.trace(_job(call))
    text = path.read_bytes() if path.exists() else b""
    return api.Answer(text, headers={"Content-Type": "text/plain"})


# docs: artifacts:access. Jobs of the same project always read them.
_ACCESS = {"all": GUEST, "developer": DEVELOPER, "maintainer": MAINTAINER}


def _archive(call: Call) -> bytes:
    job = _job(call)
    path = call.context.artifact(job, "archive")
    if not path.exists():
        raise api.not_found()
    access = str((job["_spec"].get("artifacts") or {}).get("access", "all"))
    if not call.token.get("_job") and call.role < _ACCESS.get(access, OWNER + 1):
        raise api.forbidden()
    return path.read_bytes()


def _artifacts(call: Call) -> Any:
    return api.Answer(
        _archive(call),
        headers={"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="artifacts.zip"'},
    )


def _artifact_file(call: Call) -> Any:
    with zipfile.ZipFile(io.BytesIO(_archive(call))) as archive:
        try:
            return archive.read(call.path["path"])
        except KeyError:
            raise api.not_found() from None


def _current(call: Call) -> Any:
    """Return the job of a job token (GitLab docs: Jobs API, get job token's job)."""
    job = api.require(call.store.get("job", call.token.get("_job") or 0))
    pipeline = api.require(call.store.get("pipeline", job["_pipeline"]))
    return show(call.context, api.require(call.store.get("project", pipeline["project_id"])), job)


_JOBS = "/projects/{id}/jobs"

ROUTES = (
    Route("GET", "/job", _current, PUBLIC),
    Route("GET", _JOBS, _list),
    Route("GET", _JOBS + "/{job_id}", _show),
    Route("POST", _JOBS + "/{job_id}/play", _play, DEVELOPER),
    Route("POST", _JOBS + "/{job_id}/retry", _retry, DEVELOPER),
    Route("POST", _JOBS + "/{job_id}/cancel", _cancel, DEVELOPER),
    Route("GET", _JOBS + "/{job_id}/trace", _trace),
    Route("GET", _JOBS + "/{job_id}/artifacts", _artifacts),
    Route("GET", _JOBS + "/{job_id}/artifacts/{path:.+}", _artifact_file),
)
