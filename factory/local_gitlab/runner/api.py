"""The Runner API, by which runners request jobs and report on them (gitlab-runner docs: communication protocol)."""

import asyncio
import gzip
import io
import zipfile
import zlib
from contextlib import suppress
from typing import IO, Any

from aiohttp import web

from factory.local_gitlab.accounts import accounts
from factory.local_gitlab.ci import environments, id_tokens, jobs
from factory.local_gitlab.ci.predefined import is_protected
from factory.local_gitlab.ci.variables import of_job
from factory.local_gitlab.definition import durations
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.runner import registration
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving import http
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, files, loopback

LONG_POLL = 20.0
_DOTENV_LIMIT = 5 * 1024
# A runner names itself by the token in the body, so this much is parsed before it is known.
_REPORT_BYTES = 64 * 1024


def routes(context: Context) -> list[web.RouteDef]:
    """Return the routes that runners call with runner or job tokens."""

    def bind(handler: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(context, request)
            return answer

        return handle

    prefix = "/api/v4"
    return [
        web.post(prefix + "/runners/verify", bind(_verify)),
        web.post(prefix + "/jobs/request", bind(_request_job)),
        web.patch(prefix + r"/jobs/{job_id:\d+}/trace", bind(_append_trace)),
        web.put(prefix + r"/jobs/{job_id:\d+}", bind(_update)),
        web.post(prefix + r"/jobs/{job_id:\d+}/artifacts", bind(_upload)),
        web.get(prefix + r"/jobs/{job_id:\d+}/artifacts", bind(_download)),
    ]


async def _runner(context: Context, request: web.Request) -> tuple[Document, str]:
    params, _ = await http.parameters(request, _REPORT_BYTES)
    text = str(params.get("token", ""))
    runner = context.store.find("runner", accounts.fingerprint(text))
    if runner is None:
        raise api.forbidden()
    return registration.greet(context.store, runner), text


async def _verify(context: Context, request: web.Request) -> web.Response:
    runner, text = await _runner(context, request)
    return web.json_response({"id": runner["id"], "token": text, "token_expires_at": None})


async def _request_job(context: Context, request: web.Request) -> web.Response:
    runner, _ = await _runner(context, request)
    deadline = clock.monotonic() + LONG_POLL
    # aiohttp runs a handler on after its client has gone; a job that such a handler took would be lost.
    while request.transport is not None and not context.ended.is_set():
        payload = _assign(context, runner)
        if payload is not None:
            return web.json_response(payload, status=201)
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            return web.Response(status=204)
        with suppress(TimeoutError):
            async with asyncio.timeout(remaining):
                await context.job_waiting.wait()
    return web.Response(status=204)


def _assign(context: Context, runner: Document) -> dict[str, Any] | None:
    """Assign the oldest pending job that a runner may take, with a new job token."""
    store = context.store
    if not store.all("job", status="pending"):
        return None
    with store.transaction():
        found = _next(context, runner)
        if found is None:
            return None
        job, project, pipeline = found
        user = store.get("user", job["_user"]) or {}
        token, text = accounts.issue_token(
            store, user, f"job {job['id']}", project=project["id"], _job=job["id"], scopes=[accounts.JOB_SCOPE]
        )
        now = clock.timestamp()
        job |= {
            "status": "running",
            "started_at": now,
            "queued_duration": (clock.parse(now) - clock.parse(job["created_at"])).total_seconds(),
            "runner": {"id": runner["id"], "description": runner["description"], "active": True},
            "_token": accounts.fingerprint(text),
            "_beat": now,
        }
        del token
        job["_dotenv"] = _inherited(context, job)
        store.save("job", job)
        environments.follow_job(store, job)
        context.wake_pipelines()
        return _payload(context, project, pipeline, job, text)


def _next(context: Context, runner: Document) -> tuple[Document, Document, Document] | None:
    """Return the oldest pending job that a runner may take, its project and its pipeline."""
    store = context.store
    known = store.get("runner", runner["id"])
    for job in store.all("job", status="pending") if known else ():
        project, pipeline = store.get("project", job["_project"]) or {}, store.get("pipeline", job["_pipeline"]) or {}
        protected = is_protected(context, project, pipeline)
        if known and registration.takes(known, project["id"], job["tag_list"], protected=protected):
            return job, project, pipeline
    return None


def _needed(context: Context, job: Document) -> list[Document]:
    """Return the jobs that pass artifacts to a job: its ``needs`` with artifacts, or all jobs of earlier stages."""
    pipeline = {"id": job["_pipeline"]}
    found = jobs.latest(context.store, pipeline)
    dependencies = job["_spec"].get("dependencies")
    if job["_needs"] is not None:
        names = {item["job"] for item in job["_needs"] if item.get("artifacts", True)}
        found = [other for other in found if other["name"] in names]
    else:
        found = [other for other in found if other["_stage"] < job["_stage"]]
    return [other for other in found if dependencies is None or other["name"] in dependencies]


def _inherited(context: Context, job: Document) -> dict[str, str]:
    found: dict[str, str] = {}
    for other in _needed(context, job):
        found |= _reported(context, other)
    return found


def _reported(context: Context, job: Document) -> dict[str, str]:
    """Return the variables of a job's dotenv report."""
    path = context.artifact(job, "dotenv")
    return _parse_dotenv(path.read_text(errors="replace")) if path.exists() else {}


def _parse_dotenv(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs if key.strip().isidentifier()}


def _payload(context: Context, project: Document, pipeline: Document, job: Document, token: str) -> dict[str, Any]:
    spec = job["_spec"]
    timeout = durations.or_default(spec.get("timeout"), project_settings.of(project)["build_timeout"])
    request = pipeline["_request"]
    ref = f"refs/merge-requests/{request}/head" if request else pipeline["ref"]
    kind = "tag" if pipeline["tag"] else "branch"
    source, target = f"refs/heads/{ref}", f"refs/remotes/origin/{ref}"
    if pipeline["tag"]:
        source = target = f"refs/tags/{ref}"
    elif request:
        source, target = f"refs/merge-requests/{request}/head", f"refs/remotes/merge-requests/{request}/head"
    host = context.base_url.removeprefix("http://")
    return {
        "id": job["id"],
        "token": token,
        "allow_git_fetch": True,
        "job_info": {
            "id": job["id"],
            "name": job["name"],
            "stage": job["stage"],
            "project_id": project["id"],
            "project_name": project["path"],
        },
        "git_info": {
            "repo_url": f"http://gitlab-ci-token:{token}@{host}/{project['path_with_namespace']}.git",
            "ref": ref,
            "sha": pipeline["sha"],
            "before_sha": pipeline["before_sha"],
            "ref_type": kind,
            "refspecs": [f"+{source}:{target}"],
            "depth": 0,
            "protected": is_protected(context, project, pipeline),
        },
        "runner_info": {"timeout": timeout},
        "variables": id_tokens.added(context, project, pipeline, job, of_job(context, project, pipeline, job, token)),
        "steps": _steps(spec, timeout),
        "image": spec.get("image"),
        "services": [],
        "artifacts": _artifact_rules(spec),
        "cache": [],
        "credentials": [],
        "dependencies": [
            {
                "id": other["id"],
                "name": other["name"],
                "token": token,
                "artifacts_file": {"filename": "artifacts.zip", "size": item["size"]},
            }
            for other in _needed(context, job)
            for item in other["artifacts"]
            if item["file_type"] == "archive"
        ],
        "features": {"trace_sections": True, "failure_reasons": ["script_failure", "runner_system_failure"]},
    }


def _steps(spec: Document, timeout: int) -> list[dict[str, Any]]:
    script = [str(line) for line in [*(spec.get("before_script") or []), *(spec.get("script") or [])]]
    steps = [{"name": "script", "script": script, "timeout": timeout, "when": "on_success", "allow_failure": False}]
    after = [str(line) for line in spec.get("after_script") or []]
    if after:
        steps.append({"name": "after_script", "script": after, "timeout": 300, "when": "always", "allow_failure": True})
    return steps


def _artifact_rules(spec: Document) -> list[dict[str, Any]]:
    artifacts = spec.get("artifacts") or {}
    when = artifacts.get("when", "on_success")
    rules = []
    if artifacts.get("paths") or artifacts.get("untracked"):
        rules.append(
            {
                "name": artifacts.get("name", "artifacts"),
                "paths": artifacts.get("paths") or [],
                "untracked": bool(artifacts.get("untracked")),
                "exclude": artifacts.get("exclude", []),
                "when": when,
                "expire_in": artifacts.get("expire_in"),
                "artifact_type": "archive",
                "artifact_format": "zip",
            }
        )
    for kind, paths in (artifacts.get("reports") or {}).items():
        if kind == "coverage_report":
            # GitLab names the artifact type after the report's format (docs: artifacts:reports, coverage_report).
            kind, paths = paths.get("coverage_format", "cobertura"), paths.get("path", "")  # noqa: PLW2901 - renamed as documented
        names = paths if isinstance(paths, list) else [paths]
        rules.append({"paths": names, "when": "always", "artifact_type": kind, "artifact_format": "gzip"})
    return rules


def _own_job(context: Context, request: web.Request, params: dict[str, Any]) -> Document:
    number = request.match_info["job_id"]
    job = context.store.get("job", int(number)) if api.is_id(number) else None
    text = request.headers.get("JOB-TOKEN") or str(params.get("token", ""))
    who = accounts.authenticate(context.store, text)
    if job is None or job["_token"] != accounts.fingerprint(text):
        raise api.forbidden()
    if who is None and job["status"] == "running":
        raise api.forbidden()
    return job


def _not_running(job: Document) -> web.Response:
    body = {"message": "403 Forbidden - Job is not running"}
    return web.json_response(body, status=403, headers={"Job-Status": job["status"]})


async def _append_trace(context: Context, request: web.Request) -> web.Response:
    _own_job(context, request, {})
    body = await loopback.read(request, loopback.LARGE)
    with context.store.transaction():
        job = _own_job(context, request, {})
        headers = {"Job-Status": job["status"]}
        if job["status"] != "running":
            return _not_running(job)
        path = context.trace(job)
        start = int(request.headers.get("Content-Range", "0-0").split("-")[0])
        size = path.stat().st_size if path.exists() else 0
        if start != size:
            return web.Response(status=416, headers={**headers, "Range": f"0-{size}"})
        with files.disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as trace:
                trace.write(body)
        context.store.save("job", job | {"_beat": clock.timestamp()})
    return web.Response(status=202, headers={**headers, "Range": f"0-{size + len(body)}"})


async def _update(context: Context, request: web.Request) -> web.Response:
    params, _ = await http.parameters(request, _REPORT_BYTES)
    with context.store.transaction():
        job = _own_job(context, request, params)
        state = params.get("state")
        if job["status"] != "running":
            return _not_running(job)
        if state in {"success", "failed"}:
            reason = str(params.get("failure_reason") or "script_failure") if state == "failed" else None
            job["exit_code"] = params.get("exit_code")
            # GitLab docs: allow_failure:exit_codes.
            job["allow_failure"] |= job["exit_code"] in job["_spec"].get("allowed_exit_codes", ())
            jobs.finish(context.store, job, state, reason)
            if state == "success" and job["_deployment"]:
                environments.show_address(context, job, _reported(context, job))
        else:
            context.store.save("job", job | {"_beat": clock.timestamp()})
    context.wake_pipelines()
    return web.Response(status=200, headers={"Job-Status": job["status"]})


async def _upload(context: Context, request: web.Request) -> web.Response:
    """Store one artifact; the job must still be running."""
    _own_job(context, request, {})
    form = await loopback.read_form(request, loopback.LARGE)
    kind = str(form.get("artifact_type") or "archive")
    upload = form.get("file")
    if not isinstance(upload, web.FileField) or not kind.isidentifier():
        raise api.bad_request("file is invalid", key="error")
    data = await asyncio.to_thread(_content, upload.file, kind, packed=form.get("artifact_format") == "gzip")
    with context.store.transaction():
        job = _own_job(context, request, {})
        if job["status"] != "running":
            raise api.forbidden("Job is not processing")
        if kind == "dotenv" and len(data) > _DOTENV_LIMIT:
            raise api.bad_request("Dotenv Artifact Too Big.")
        files.write_atomic(context.artifact(job, kind), data)
        item = {
            "file_type": kind,
            "size": len(data),
            "filename": upload.filename or kind,
            "file_format": str(form.get("artifact_format") or "zip"),
        }
        job["artifacts"] = [*(other for other in job["artifacts"] if other["file_type"] != kind), item]
        context.store.save("job", job)
    return web.json_response({}, status=201)


def _content(uploaded: IO[bytes], kind: str, *, packed: bool) -> bytes:
    """Return an artifact's bytes, unpacked if it is gzip; raises 400 for another format and 413 above the limit."""
    try:
        data = gzip.GzipFile(fileobj=uploaded, mode="rb").read(loopback.LARGE + 1) if packed else uploaded.read()
    except (OSError, EOFError, zlib.error):
        raise api.bad_request("the artifact is not gzip") from None
    if len(data) > loopback.LARGE:
        raise web.HTTPRequestEntityTooLarge(loopback.LARGE, len(data))
    if kind == "archive" and not zipfile.is_zipfile(io.BytesIO(data)):
        raise api.bad_request("the archive is not a zip file")
    return data


async def _download(context: Context, request: web.Request) -> web.StreamResponse:
    text = request.headers.get("JOB-TOKEN", "")
    who = accounts.authenticate(context.store, text)
    number = request.match_info["job_id"]
    job = context.store.get("job", int(number)) if api.is_id(number) else None
    if who is None or job is None or who[0]["_project"] != job["_project"]:
        raise api.forbidden()
    path = context.artifact(job, "archive")
    if not path.exists():
        raise api.not_found()
    return web.FileResponse(path, headers={"Content-Type": "application/zip"})
