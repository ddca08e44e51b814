"""Waits for a pipeline, and reads what it says: its verdict, and what an agent must know of a failure."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from factory.errors import ToolTimeout, Unreachable
from factory.gitlab import pipelines
from factory.model.gitlab import Job, Pipeline
from factory.model.verdict import from_json
from factory.reports import findings
from factory.system import clock, files
from factory.workflow.context import Context

VERDICT = ".factory/verdict/verdict.json"
GATE_JOB = "gate"
_PAUSE = 0.05
_SLOWEST = {"simulator": 0.1, "server": 4.0}
_LOG_TAIL = 30
# Failures that say nothing about the change (GitLab docs: jobs API, failure_reason); they never reach an agent.
_MACHINE_REASONS = frozenset(
    {
        "runner_system_failure",
        "stuck_or_timeout_failure",
        "stale_schedule",
        "api_failure",
        "scheduler_failure",
        "data_integrity_failure",
        "runner_unsupported",
        "archived_failure",
        "unmet_prerequisites",
    }
)
_MACHINE_RETRIES = 2
_PATIENCE = 10


def until(
    context: Context, find: Callable[[], Pipeline | None], *, minutes: float, over: Callable[[Pipeline], bool]
) -> Pipeline:
    """Return the pipeline once ``over`` holds, saying its jobs' progress; raises ``ToolTimeout`` past the limit."""
    deadline = clock.monotonic() + minutes * 60
    pause, told, quiet = _PAUSE, "", 0
    slowest = _SLOWEST["simulator" if context.simulator else "server"]
    while clock.monotonic() < deadline:
        try:
            found = find()
        except Unreachable:
            found, quiet = None, quiet + 1
            if quiet > _PATIENCE:
                raise
        if found is not None:
            quiet = 0
            line = f"pipeline {found.id}: {found.status}"
            if line != told:
                context.say(line)
                told, pause = line, _PAUSE
            if over(found):
                return found
        clock.sleep(pause)
        pause = min(pause * 1.1, slowest)
    raise ToolTimeout(
        f"the pipeline did not end within {minutes:g} minutes",
        hint="See `factory pipeline show`: a job that stays pending has no runner with its tags (docs/gitlab.md).",
    )


def verdict(context: Context, pipeline: int) -> dict[str, Any] | None:
    """Return the gate job's decision, or ``None`` where it left none."""
    for job in pipelines.jobs(context.bot, pipeline):
        if job.name == GATE_JOB:
            data = pipelines.artifact(context.bot, job.id, VERDICT)
            return None if data is None else json.loads(data)
    return None


def foreign(context: Context, decision: dict[str, Any], head: str) -> str:
    """Return why a verdict is not the protected branch's own on this commit, or nothing."""
    judge = str(decision.get("judge_sha", ""))
    if decision.get("head") != head:
        return f"the verdict is about {str(decision.get('head'))[:12]}, not about {head[:12]}"
    if not context.mirror.resolve(judge):
        context.fetch()
    if not context.mirror.resolve(judge) or not context.mirror.is_ancestor(judge, context.main()):
        return f"the verdict was given by {judge[:12]}, which is no commit of the protected branch"
    if decision.get("policy") != context.policies(judge).digest:
        return "the verdict names other policies than its judge has"
    return ""


def retried(context: Context, pipeline: Pipeline, *, before: int) -> bool:
    """Run jobs again that failed for the machine's reasons, not the change's; tell whether any was.

    ``before`` counts earlier calls for this pipeline: after the second nothing is run again.
    """
    if pipeline.status != "failed" or before >= _MACHINE_RETRIES:
        return False
    jobs = pipelines.jobs(context.bot, pipeline.id)
    lost = [job for job in jobs if job.status == "failed" and job.failure_reason in _MACHINE_REASONS]
    for job in lost:
        pipelines.retry(context.bot, job.id)
        context.say(f"job {job.name} failed for the machine's reasons ({job.failure_reason}); it runs again")
    return bool(lost)


def seconds(jobs: Sequence[Job]) -> float:
    """Return the time from the first job's start to the last one's end."""
    starts = [clock.parse(job.started_at) for job in jobs if job.started_at]
    ends = [clock.parse(job.finished_at) for job in jobs if job.finished_at]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0


def feedback(context: Context, pipeline: Pipeline, *, folder: Path) -> list[str]:
    """Return what an agent must know to mend a failed pipeline: each finding, and where the whole logs lie.

    The logs of failed jobs are written below ``folder``; without a verdict, their ends are told.
    """
    if pipeline.yaml_errors:
        return [f"The pipeline definition cannot be used: {pipeline.yaml_errors}"]
    failed = [
        job for job in pipelines.jobs(context.bot, pipeline.id) if job.status == "failed" and not job.allow_failure
    ]
    logs = {}
    files.private_folder(folder)
    for job in failed:
        text = pipelines.trace(context.bot, job.id)
        files.write_atomic(folder / f"{job.name}.log", text.encode())
        if job.name != GATE_JOB:
            logs[job.name] = str(folder / f"{job.name}.log")
    decision = verdict(context, pipeline.id)
    told = findings.brief([from_json(item) for item in decision["gates"]], logs) if decision is not None else []
    if told:
        return told
    for job in failed:
        told.append(f"Job {job.name} failed ({job.failure_reason}). The end of its log:")
        told += files.read_text(folder / f"{job.name}.log").splitlines()[-_LOG_TAIL:]
    return told


def repeated(past: Sequence[Sequence[str]]) -> str:
    """Return a finding that the last two attempts both came to, or nothing. Pure."""
    if len(past) < 2:  # noqa: PLR2004 - the last two
        return ""
    before, now = ([line.strip() for line in lines if line.strip().startswith("what: ")] for lines in past[-2:])
    return next((line.removeprefix("what: ") for line in now if line in before), "")
