"""Advances pipelines: expands new ones, queues ready jobs, and fails jobs that timed out or lost their runner."""

import asyncio
from contextlib import suppress
from typing import Any

from factory.errors import FactoryError, InvalidInput
from factory.local_gitlab.ci import child_pipelines, environments, jobs, resource_groups, schedules, states, statuses
from factory.local_gitlab.ci.variables import layers
from factory.local_gitlab.definition import durations, expand
from factory.local_gitlab.definition.source_files import Source
from factory.local_gitlab.definition.variables import defined, expanded, named, substitute, unexpanded
from factory.local_gitlab.projects import project_settings
from factory.local_gitlab.serving.context import Context
from factory.local_gitlab.serving.store import Document
from factory.system import clock, log

# Seconds: after so long without a heartbeat a job is lost, and after so long between two passes it was this server, or
# the whole machine, that stood still.
HEARTBEAT_LIMIT, _STALL = 30.0, 5.0
_TICK = 1.0
# GitLab's words for a pipeline that somebody starts and that would have no job.
EMPTY = (
    "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to "
    "the pipeline."
)
_OPEN = ("created", "pending", "running", "waiting_for_resource", "manual", "failed", "canceled")


async def run(context: Context) -> None:
    """Advance pipelines until cancelled. Each pass reads its state from the store, so a restart loses nothing."""
    expanding: set[asyncio.Task[None]] = set()
    busy: set[int] = set()
    last = clock.now()
    while True:
        # Not wait_for(): in Python 3.11 it loses a cancellation that arrives together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await context.wake.wait()
        context.wake.clear()
        if (clock.now() - last).total_seconds() > _STALL:
            renew_heartbeats(context)
        last = clock.now()
        schedules.start_due(context)
        for pipeline in context.store.all("pipeline", _expanded=False):
            if pipeline["id"] not in busy:
                busy.add(pipeline["id"])
                task = asyncio.create_task(_expand(context, pipeline, busy))
                expanding.add(task)
                task.add_done_callback(expanding.discard)
        if _advance_all(context):
            context.job_waiting.set()
            context.job_waiting.clear()


async def _expand(context: Context, pipeline: Document, busy: set[int]) -> None:
    """Expand a new pipeline into jobs: the slow part runs in a thread, one transaction writes the jobs."""
    project = context.store.get("project", pipeline["project_id"]) or {}
    variables = expand.Variables(*layers(context, project, pipeline, masked=True), pipeline.get("_workflow") or {})
    try:
        source = source_of(context, project, pipeline)
        found: list[dict[str, Any]] | FactoryError = await asyncio.to_thread(
            expand.expand,
            source,
            variables,
            program=context.expander,
            env=context.tool_env,
            kept=context.kept,
        )
    except FactoryError as error:
        found = error
    finally:
        busy.discard(pipeline["id"])
    with context.store.transaction():
        fresh = context.store.get("pipeline", pipeline["id"])
        if fresh is None or fresh["_expanded"]:
            return
        _write_jobs(context, project, fresh, found)
    context.wake_pipelines()


def source_of(context: Context, project: Document, pipeline: Document) -> Source:
    """Return the source of a pipeline's definition and code."""
    repository = context.repository(project)
    request = pipeline["_request"]
    before = pipeline["before_sha"]
    if request:
        document = context.store.by_iid("merge_request", project["id"], request) or {}
        compare = document["diff_refs"]["base_sha"]
    else:
        pushed = pipeline["source"] == "push" and not pipeline["tag"]
        compare = before if pushed and before.strip("0") and repository.resolve(before) else None
    return Source(
        repository=repository,
        config_file=pipeline["_config"]["file"],
        config_sha=pipeline["_config"]["sha"],
        sha=pipeline["sha"],
        compare_sha=compare,
        of_request=request is not None,
    )


def _write_jobs(
    context: Context,
    project: Document,
    pipeline: Document,
    found: list[dict[str, Any]] | FactoryError,
) -> None:
    pipeline["_expanded"] = True
    if isinstance(found, FactoryError) or not found:
        reason = str(found) if isinstance(found, InvalidInput) else EMPTY
        if isinstance(found, FactoryError) and not isinstance(found, InvalidInput):
            reason = f"the pipeline definition could not be expanded: {found}"
        bridge = context.store.get("job", pipeline.get("_bridge") or 0)
        if bridge:
            child_pipelines.fail(context, bridge, reason)
        if bridge or (not found and pipeline["source"] != "api"):
            context.store.delete("pipeline", pipeline)  # GitLab makes no pipeline without jobs
            return
        pipeline |= {"status": "failed", "yaml_errors": reason, "finished_at": clock.timestamp()}
        context.store.save("pipeline", pipeline)
        return
    context.store.save("pipeline", pipeline)
    below, above = layers(context, project, pipeline)
    for spec in found:
        first = below | named(spec["name"], spec["stage"])
        own = expanded(defined(spec["variables"]), first | above, raw=unexpanded(spec["variables"]))
        _write_job(context, project, pipeline, spec, first | own | above)


def _write_job(
    context: Context, project: Document, pipeline: Document, spec: dict[str, Any], known: dict[str, str]
) -> None:
    environment = spec.get("environment")
    name = environment.get("name") if isinstance(environment, dict) else environment
    tier = environment.get("deployment_tier") if isinstance(environment, dict) else None
    name = substitute(str(name), known) if name else None
    group = substitute(str(spec["resource_group"]), known) if spec.get("resource_group") else None
    tags = spec.get("tags") or []
    job = context.store.add(
        "job",
        {
            "name": spec["name"],
            "stage": spec["stage"],
            "status": "created",
            "allow_failure": spec["allow_failure"],
            "created_at": clock.timestamp(),
            "started_at": None,
            "finished_at": None,
            "duration": None,
            "queued_duration": None,
            "failure_reason": None,
            "exit_code": None,
            "runner": None,
            "artifacts": [],
            "tag_list": [tag for item in tags if (tag := substitute(str(item), known))],
            "_project": project["id"],
            "_pipeline": pipeline["id"],
            "_stage": spec["stage_index"],
            "_when": spec["when"],
            "_needs": spec["needs"],
            "_spec": {key: value for key, value in spec.items() if key not in {"rules", "needs", "name", "stage"}},
            "_environment": name,
            "_resource_group": group,
            "_deployment": None,
            "_user": pipeline["_user"],
            "_attempt": 1,
            "_retried": False,
            "_played": False,
            "_manual_variables": [],
            "_dotenv": {},
            "_token": None,
            "_beat": None,
        },
        project=project["id"],
        name=spec["name"],
    )
    if group:
        resource_groups.ensure(context.store, project["id"], group)
    if name:
        environments.ensure(context.store, project["id"], name, None, tier)
        environments.show_address(context, job, {})
        environments.deploy(context.store, job)


def _advance_all(context: Context) -> bool:
    """Advance all open pipelines; return whether a job waits for a runner."""
    with context.store.transaction():
        _end_lost_jobs(context)
        for status in _OPEN:
            for pipeline in context.store.all("pipeline", status=status, _expanded=True, yaml_errors=None):
                _advance(context, pipeline)
    return bool(context.store.all("job", status="pending"))


def renew_heartbeats(context: Context) -> None:
    """Give every running job's runner time to report again, because it could not while the server stood still."""
    with context.store.transaction():
        for job in _with_runner(context):
            context.store.save("job", job | {"_beat": clock.timestamp()})


def _with_runner(context: Context) -> list[Document]:
    return [job for job in context.store.all("job", status="running") if not jobs.is_bridge(job)]


def _end_lost_jobs(context: Context) -> None:
    now = clock.now()
    for job in _with_runner(context):
        silent = (now - clock.parse(job["_beat"])).total_seconds()
        running = (now - clock.parse(job["started_at"])).total_seconds()
        project = project_settings.of(context.store.get("project", job["_project"]) or {})
        limit = durations.or_default(job["_spec"].get("timeout"), project["build_timeout"])
        if running > limit:
            jobs.finish(context.store, job, "failed", "job_execution_timeout")
        elif silent > HEARTBEAT_LIMIT:
            jobs.finish(context.store, job, "failed", "runner_system_failure")
            log.event("job lost its runner", job=job["id"], job_name=job["name"])


def _advance(context: Context, pipeline: Document) -> None:
    store = context.store
    for job in jobs.latest(store, pipeline):
        told = (job["failure_reason"] or "", job.get("exit_code"))
        if job["status"] == "failed" and states.retries_left(job["_spec"], job["_attempt"], *told):
            jobs.again(store, job, store.get("user", job["_user"]) or {})
    while _step(context, jobs.latest(store, pipeline)):
        continue
    found = [_state(job) for job in jobs.latest(store, pipeline)] + statuses.of_pipeline(store, pipeline)
    status = states.pipeline_status(found)
    changes: Document = {}
    if status != pipeline["status"]:
        changes = {"status": status, "updated_at": clock.timestamp()}
    if pipeline["started_at"] is None and any(job.status not in {"created", "manual"} for job in found):
        changes["started_at"] = clock.timestamp()
    over = status in states.FINISHED
    if over and pipeline["finished_at"] is None:
        changes["finished_at"] = clock.timestamp()
    if not over and pipeline["finished_at"] is not None:
        changes["finished_at"] = None
    if changes:
        store.save("pipeline", pipeline | changes)
    if over:
        child_pipelines.follow(context, pipeline | changes)


def _step(context: Context, found: list[Document]) -> bool:
    """Advance each waiting job by one status; return whether any job changed."""
    moved = False
    known = [_state(job) for job in found]
    for job, state in zip(found, known, strict=True):
        target = None
        if job["status"] == "created":
            target = "pending" if job["_played"] else states.next_status(state, known)
        elif job["status"] == "waiting_for_resource":
            target = "pending"
        if target == "pending" and environments.is_blocked(context.store, job):
            target = "manual"
        if target == "pending" and resource_groups.must_wait(context.store, job):
            target = "waiting_for_resource"
        if target is None or target == job["status"]:
            continue
        if target == "skipped":
            jobs.finish(context.store, job, "skipped")
        elif target == "pending" and jobs.is_bridge(job):
            child_pipelines.start(context, job)
        else:
            context.store.save("job", job | {"status": target})
        moved = True
    return moved


def _state(job: Document) -> states.Job:
    needs = job["_needs"]
    return states.Job(
        id=job["id"],
        name=job["name"],
        stage=job["_stage"],
        status=job["status"],
        when=job["_when"],
        allow_failure=job["allow_failure"],
        needs=None if needs is None else tuple(item["job"] for item in needs),
        optional_needs=frozenset(item["job"] for item in needs or [] if item.get("optional")),
        resource_group=job["_resource_group"],
    )
