"""Starts child pipelines by their bridge jobs, and mirrors their statuses (docs: Downstream pipelines; trigger)."""

from factory.local_gitlab.ci import creation, jobs, states
from factory.local_gitlab.definition import source_files
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document, Store
from factory.system import clock, log

SOURCE = "parent_pipeline"
_FAILED, _TOO_DEEP = "downstream_pipeline_creation_failed", "reached_max_descendant_pipelines_depth"
# docs: Downstream pipelines, nested child pipelines.
_DEEPEST = 2


def start(context: Context, bridge: Document) -> None:
    """Start a bridge's child pipeline on its own pipeline's commit, with the default branch's definition."""
    store = context.store
    if _depth(store, bridge) > _DEEPEST:
        jobs.finish(store, bridge, "failed", _TOO_DEEP)
        return
    project, parent = store.get("project", bridge["_project"]) or {}, store.get("pipeline", bridge["_pipeline"]) or {}
    include = bridge["_spec"]["trigger"]["include"]
    name = (include[0] if isinstance(include, list) else include)["file"]
    head = context.repository(project).resolve(project["default_branch"])
    request = store.by_iid("merge_request", project["id"], parent["_request"]) if parent["_request"] else None
    bridge = store.save("job", bridge | {"status": "running", "started_at": clock.timestamp()})
    child = creation.create(
        context,
        project,
        ref=parent["ref"],
        sha=parent["sha"],
        before=parent["before_sha"],
        source=SOURCE,
        user=store.get("user", bridge["_user"]) or {},
        tag=parent["tag"],
        request=request,
        config=(str(name).lstrip("/"), head or ""),
        bridge=bridge["id"],
    )
    if child is None:
        fail(context, bridge, creation.FILTERED if _exists(context, project, name, head) else f"{name} does not exist")
    elif child["yaml_errors"]:
        fail(context, bridge, child["yaml_errors"])
        store.delete("pipeline", child)


def _depth(store: Store, bridge: Document) -> int:
    """Return how many generations of child pipelines a bridge's child would end."""
    depth, job = 0, bridge
    while job:
        depth += 1
        pipeline = store.get("pipeline", job["_pipeline"]) or {}
        job = store.get("job", pipeline.get("_bridge") or 0) or {}
    return depth


def _exists(context: Context, project: Document, name: str, head: str | None) -> bool:
    return head is not None and source_files.read(context.repository(project), head, name.lstrip("/")) is not None


def fail(context: Context, bridge: Document, reason: str) -> None:
    """End a bridge whose child pipeline could not be created; GitLab keeps no such pipeline."""
    jobs.finish(context.store, bridge, "failed", _FAILED)
    log.event("child pipeline not created", job=bridge["id"], job_name=bridge["name"], reason=reason)


def follow(context: Context, pipeline: Document) -> None:
    """Give a bridge the status of its finished child pipeline (docs: trigger:strategy, depend)."""
    bridge = context.store.get("job", pipeline.get("_bridge") or 0)
    if bridge and bridge["status"] == "running" and pipeline["status"] in states.FINISHED:
        jobs.finish(context.store, bridge, pipeline["status"])
        context.wake_pipelines()


def cancel(store: Store, job: Document) -> None:
    """Cancel a job, and the jobs of the pipelines that it started."""
    jobs.cancel(store, job)
    child = of_bridge(store, job) if jobs.is_bridge(job) else None
    for inner in jobs.latest(store, child) if child else ():
        cancel(store, inner)


def of_bridge(store: Store, bridge: Document) -> Document | None:
    """Return the pipeline that a bridge started."""
    found = store.all("pipeline", project=bridge["_project"], _bridge=bridge["id"])
    return found[0] if found else None


def show_bridge(context: Context, project: Document, bridge: Document) -> Document:
    """Return a bridge as the API shows it (docs: Jobs API, list trigger jobs)."""
    child = of_bridge(context.store, bridge)
    keys = ("id", "iid", "project_id", "sha", "ref", "status", "source", "created_at", "updated_at")
    shown = jobs.show(context, project, bridge)
    hidden = {"artifacts", "artifacts_file", "artifacts_expire_at", "runner", "tag_list"}
    url = f"{context.base_url}/{project['path_with_namespace']}/-/pipelines/"
    return {key: value for key, value in shown.items() if key not in hidden} | {
        "downstream_pipeline": child and {key: child[key] for key in keys} | {"web_url": f"{url}{child['id']}"},
    }
