"""Validates pipeline definitions without starting a pipeline (docs: CI Lint API)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from factory.errors import InvalidInput
from factory.local_gitlab.ci import creation, pipelines, scheduler
from factory.local_gitlab.ci.variables import layers
from factory.local_gitlab.definition import expand, source_files
from factory.local_gitlab.refs import pipeline_rights
from factory.local_gitlab.serving import call as api
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.local_gitlab.serving.store import Document
from factory.system import clock


def _lint(call: Call) -> Any:
    """Validate the definition at a ref; raises 404 if the ref does not exist."""
    repository = call.context.repository(call.project)
    sha = repository.resolve(_one_of(call, "content_ref", "sha"))
    if sha is None:
        raise api.not_found("Commit")
    name, _, _ = source_files.parse_config_path(call.project["ci_config_path"])
    content = repository.read(sha, name)
    if content is None:
        return _answer(errors=["Please provide content of .gitlab-ci.yml"])
    return _checked(call, name, content.decode(errors="replace"), sha, _one_of(call, "dry_run_ref", "ref"))


def _lint_given(call: Call) -> Any:
    """Validate the definition in the request."""
    head = call.context.repository(call.project).resolve(call.project["default_branch"])
    return _checked(call, ".gitlab-ci.yml", str(call.need("content")), head, _one_of(call, "ref"))


def _one_of(call: Call, *names: str) -> str:
    """Return the one of some parameters that is given, or the default branch; raises 400 if several are."""
    given = [name for name in names if call.params.get(name)]
    if len(given) > 1:
        raise api.bad_request(f"{', '.join(names)} are mutually exclusive", key="error")
    return str(call.params[given[0]]) if given else str(call.project["default_branch"])


def _checked(call: Call, name: str, content: str, sha: str | None, ref: str) -> Any:
    """Check a definition as it stands, with the files of ``sha``, or with ``dry_run`` as a pipeline of ``ref``.

    Without ``dry_run``, no rules decide: every job of the definition is valid, and listed.
    """
    repository, dry = call.context.repository(call.project), call.flag("dry_run")
    branches, tags = repository.heads()
    tag = ref not in branches
    if dry:
        sha = branches.get(ref) or tags.get(ref)
        if sha is None:
            return _answer(errors=["Reference not found"])
        if not pipeline_rights.may_update(call.store, call.project, ref, call.user, call.role, tag=tag):
            return _answer(errors=[pipelines.NO_RIGHTS])
    # No ref points to this commit, so clients cannot see it.
    author = f"{call.user['name']}\0{call.user['email']}"
    files = [{"path": name, "content": content.encode()}]
    config = repository.commit(files, parent=sha, message="lint", author=author)
    draft = {
        "sha": sha or config,
        "before_sha": creation.ZERO,
        "ref": ref if dry else call.project["default_branch"],
        "tag": dry and tag,
        "source": "push",
        "created_at": clock.timestamp(),
        "_request": None,
        "_user": call.user["id"],
        "_config": {"file": name, "sha": config},
    }
    try:
        workflow = creation.admitted(call.context, call.project, draft) if dry else {}
    except InvalidInput as error:
        return _answer(errors=str(error).splitlines())
    return _answer(errors=[creation.FILTERED]) if workflow is None else _expanded(call, draft, content, workflow)


def _expanded(call: Call, draft: Document, content: str, workflow: dict[str, str]) -> Awaitable[dict[str, Any]]:
    """Check a definition in a thread, because joining its files takes a second."""
    context, dry, shown = call.context, call.flag("dry_run"), call.flag("include_jobs")
    source = scheduler.source_of(context, call.project, draft)
    variables = expand.Variables(*layers(context, call.project, draft, masked=True), workflow)

    def check() -> dict[str, Any]:
        try:
            jobs = expand.expand(
                source,
                variables,
                program=context.expander,
                env=context.tool_env,
                kept=context.kept,
                every=not dry,
            )
        except InvalidInput as error:
            return _answer(errors=str(error).splitlines())
        if dry and not jobs:
            return _answer(errors=[scheduler.EMPTY])
        return _answer(merged=content, jobs=[_job(job) for job in jobs] if shown else None)

    return asyncio.to_thread(check)


def _answer(
    *, errors: list[str] | None = None, merged: str | None = None, jobs: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "valid": not errors,
        "errors": errors or [],
        "warnings": [],
        "merged_yaml": merged,
        "includes": [],
    }
    return found | ({"jobs": jobs} if jobs is not None else {})


def _job(job: dict[str, Any]) -> dict[str, Any]:
    environment = job.get("environment")
    return {
        "name": job["name"],
        "stage": job["stage"],
        "before_script": list(job.get("before_script") or []),
        "script": list(job.get("script") or []),
        "after_script": list(job.get("after_script") or []),
        "tag_list": list(job.get("tags") or []),
        "environment": environment.get("name") if isinstance(environment, dict) else environment,
        "when": job["when"],
        "allow_failure": job["allow_failure"],
        "only": None,
        "except": None,
    }


ROUTES = (
    Route("GET", "/projects/{id}/ci/lint", _lint, DEVELOPER),
    Route("POST", "/projects/{id}/ci/lint", _lint_given, DEVELOPER),
)
