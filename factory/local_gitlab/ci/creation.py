"""Creates pipelines: finds their definition, and decides by its ``workflow:rules`` (docs: CI/CD pipelines)."""

import re
from collections.abc import Collection, Mapping

from factory.errors import InvalidInput
from factory.local_gitlab.ci.variables import before_jobs
from factory.local_gitlab.definition import conditions, source_files
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock

ZERO = "0" * 40
FILTERED = "Pipeline filtered out by workflow rules."
# GitLab docs: Pipelines, skip a pipeline: the message of the pushed commit decides.
_SKIP = re.compile(r"\[(?:ci[ _-]skip|skip[ _-]ci)\]", re.IGNORECASE)
_UNKNOWN = ("yaml_errors", "started_at", "finished_at", "committed_at", "coverage", "name")
_SKIPPABLE = {"push", "merge_request_event"}


def create(
    context: Context,
    project: Document,
    *,
    ref: str,
    sha: str,
    before: str,
    source: str,
    user: Document,
    tag: bool = False,
    request: Document | None = None,
    variables: Mapping[str, str] | None = None,
    files: Collection[str] = (),
    schedule: int | None = None,
    config: tuple[str, str] | None = None,
    bridge: int | None = None,
) -> Document | None:
    """Create a pipeline; returns ``None`` if the definition is missing or its ``workflow:rules`` exclude the pipeline.

    ``ref`` is a branch, with ``tag`` a tag; ``schedule`` is the id of its schedule; jobs get the variables ``files`` as
    files. ``config`` is the definition's file and its commit (default: the project's), ``bridge`` the id of the job
    that starts the pipeline as a child. An invalid definition results in a failed pipeline with ``yaml_errors``, as in
    GitLab.
    """
    location = config or _definition(context, project, sha)
    if location is None:
        return None
    now = clock.timestamp()
    draft: Document = {
        "project_id": project["id"],
        "sha": sha,
        "before_sha": before,
        "ref": ref,
        "tag": tag,
        "status": "created",
        "source": source,
        "created_at": now,
        "updated_at": now,
        **dict.fromkeys(_UNKNOWN),
        "_user": user["id"],
        "_request": request["iid"] if request else None,
        "_schedule": schedule,
        "_bridge": bridge,
        "_config": {"file": location[0], "sha": location[1]},
        "_variables": dict(variables or {}),
        "_files": list(files),
        "_workflow": {},
        "_expanded": False,
    }
    try:
        if (workflow := admitted(context, project, draft)) is None:
            return None
        draft["_workflow"] = workflow
        if source in _SKIPPABLE and _SKIP.search(context.repository(project).one(sha)["message"]):
            draft |= {"status": "skipped", "finished_at": now, "_expanded": True}
    except InvalidInput as error:
        draft |= {"status": "failed", "yaml_errors": str(error), "finished_at": now, "_expanded": True}
    pipeline = context.store.add("pipeline", draft, project=project["id"])
    context.wake_pipelines()
    return pipeline


def admitted(context: Context, project: Document, draft: Document) -> dict[str, str] | None:
    """Return the variables of the matching workflow rule, or ``None`` if the pipeline must not be created."""
    name, sha = draft["_config"]["file"], draft["_config"]["sha"]
    definition = source_files.read(context.repository(project), sha, name)
    if definition is None:
        return None
    return conditions.admitted(source_files.workflow_rules(definition, name), before_jobs(context, project, draft))


def is_defined(context: Context, project: Document, sha: str) -> bool:
    """Return whether a commit has a definition of pipelines."""
    location = _definition(context, project, sha)
    return location is not None and context.repository(project).read(location[1], location[0]) is not None


def _definition(context: Context, project: Document, sha: str) -> tuple[str, str] | None:
    """Return the definition's file and commit."""
    name, path, ref = source_files.parse_config_path(project["ci_config_path"])
    if path is None:
        return name, sha
    if path != project["path_with_namespace"]:
        return None
    config_sha = context.repository(project).resolve(ref or project["default_branch"])
    return None if config_sha is None else (name, config_sha)
