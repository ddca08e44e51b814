"""Validates pipeline definitions without starting a pipeline (docs: CI Lint API)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from factory.errors import InvalidInput
from factory.local_gitlab.ci import scheduler
from factory.local_gitlab.ci.pipelines import ZERO
from factory.local_gitlab.ci.variables import layers
from factory.local_gitlab.definition import expand, source_files
from factory.local_gitlab.serving.call import DEVELOPER, Call, Route
from factory.system import clock


def _lint(call: Call) -> Any:
    """Validate the definition at a ref."""
    project = call.project
    repository = call.context.repository(project)
    ref = str(call.params.get("content_ref") or call.params.get("sha") or project["default_branch"])
    sha = repository.resolve(ref)
    name, _, _ = source_files.parse_config_path(project["ci_config_path"])
    content = repository.read(sha, name) if sha else None
    if sha is None or content is None:
        return _answer(errors=["Please provide content of .gitlab-ci.yml"])
    return _checked(call, sha, name, content.decode(errors="replace"))


def _lint_given(call: Call) -> Any:
    """Validate the definition in the request as if it were at the head of a ref."""
    repository = call.context.repository(call.project)
    content = str(call.need("content"))
    ref = str(call.params.get("ref") or call.project["default_branch"])
    name = ".gitlab-ci.yml"
    author = f"{call.user['name']}\0{call.user['email']}"
    # No ref points to this commit, so clients cannot see it.
    sha = repository.commit(
        [{"path": name, "content": content.encode()}], parent=repository.resolve(ref), message="lint", author=author
    )
    return _checked(call, sha, name, content)


def _checked(call: Call, sha: str, name: str, content: str) -> Awaitable[dict[str, Any]]:
    """Check a definition in a thread, because joining its files takes a second."""
    context, project = call.context, call.project
    draft = {
        "sha": sha,
        "before_sha": ZERO,
        "ref": project["default_branch"],
        "tag": False,
        "source": "push",
        "created_at": clock.timestamp(),
        "_request": None,
        "_config": {"file": name, "sha": sha},
    }
    source = scheduler.source_of(context, project, draft)
    variables = expand.Variables(*layers(context, project, draft, masked=True), {})
    shown = call.flag("include_jobs")

    def check() -> dict[str, Any]:
        try:
            jobs = expand.expand(source, variables, program=context.expander, env=context.tool_env, kept=context.kept)
        except InvalidInput as error:
            return _answer(errors=str(error).splitlines())
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
