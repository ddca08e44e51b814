"""Waits for a pipeline and reads its verdict and the findings that an agent needs after a failure."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from factory.errors import MachineError, ToolTimeout, Unreachable
from factory.gitlab import pipelines, statuses
from factory.gitlab.connect import Connection
from factory.model.gitlab import Job, Pipeline
from factory.model.verdict import GateReport
from factory.reports import findings
from factory.system import clock, data, files
from factory.workflow.context import Context

VERDICT = ".factory/verdict/verdict.json"
GATE_JOB = "gate"
_PAUSE = 0.05
_SLOWEST = {"simulator": 0.1, "server": 4.0}
_LOG_TAIL = 30
# Failures that the change did not cause (GitLab docs: jobs API, failure_reason); agents never see them.
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
# How often a call retries a job, and how often all calls together let it run: a loop must not pay for a broken runner.
_MACHINE_RETRIES, _MACHINE_RUNS = 2, 9
_PATIENCE = 10


def until(
    context: Context, find: Callable[[], Pipeline | None], *, minutes: float, over: Callable[[Pipeline], bool]
) -> Pipeline:
    """Return the pipeline when ``over`` is true; print status changes. Raises ``ToolTimeout`` after ``minutes``."""
    deadline = clock.monotonic() + minutes * 60
    found, pause, printed, failures = None, _PAUSE, "", 0
    slowest = _SLOWEST["simulator" if context.accounts.simulator else "server"]
    while clock.monotonic() < deadline:
        try:
            found = find()
        except Unreachable:
            found, failures = None, failures + 1
            if failures > _PATIENCE:
                raise
        if found is not None:
            failures = 0
            line = f"pipeline {found.id}: {found.status}"
            if line != printed:
                context.say(line)
                printed, pause = line, _PAUSE
            if over(found):
                return found
        clock.sleep(pause)
        pause = min(pause * 1.1, slowest)
    others = statuses.open_others(context.bot, found.sha, pipeline=found.id) if found is not None else ()
    if others:
        held = " and ".join(others)
        raise ToolTimeout(
            f"the pipeline did not end within {minutes:g} minutes: it is held open by the status {held}",
            hint="Wait until its author ends it. A new pipeline of the merge request in GitLab does not have it.",
        )
    raise ToolTimeout(
        f"the pipeline did not end within {minutes:g} minutes",
        hint="See `factory pipeline show`. If a job stays pending, no runner has its tags (docs/gitlab.md).",
    )


def verdict(connection: Connection, pipeline: int) -> GateReport | None:
    """Return the verdict of the gate job, or ``None`` if it left none; raises ``InvalidInput``."""
    for job in pipelines.jobs(connection, pipeline):
        if job.name == GATE_JOB:
            found = pipelines.artifact(connection, job.id, VERDICT)
            return None if found is None else _report(found, f"{VERDICT} of job {job.id}")
    return None


def _report(content: bytes, source: str) -> GateReport:
    """Read a verdict, which names what is observed only where policy does not enforce the gates."""
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if isinstance(value, dict) and "observed" not in value:
        content = json.dumps(value | {"observed": None}).encode()
    return data.read(GateReport, content, source=source)


def foreign(context: Context, decision: GateReport, head: str) -> str:
    """Return why a verdict was not made by the protected branch for this commit, or an empty string."""
    judge = decision.judge_sha
    if decision.head != head:
        return f"the verdict is for commit {decision.head[:12]}, not for {head[:12]}"
    if not context.mirror.resolve(judge):
        context.fetch()
    if not context.mirror.resolve(judge) or not context.mirror.is_ancestor(judge, context.main()):
        return f"the verdict was made by {judge[:12]}, which is not a commit of the protected branch"
    if decision.policy != context.policies(judge).digest:
        return f"the verdict names other policies than those at {judge[:12]}"
    return ""


def retried(context: Context, pipeline: Pipeline, *, before: int) -> bool:
    """Retry the jobs that failed because of the runner or GitLab; return whether there were any.

    ``before`` counts the earlier calls for this pipeline; after two, nothing is retried. Nor is a job that failed so
    nine times, whoever started it: then a person retries it.
    """
    if pipeline.status != "failed" or before >= _MACHINE_RETRIES:
        return False
    jobs = pipelines.jobs(context.bot, pipeline.id)
    lost = failed_by_machine(jobs)
    runs = (
        [job.name for job in failed_by_machine(pipelines.jobs(context.bot, pipeline.id, retried=True))] if lost else []
    )
    lost = [job for job in lost if runs.count(job.name) < _MACHINE_RUNS]
    for job in lost:
        pipelines.retry(context.bot, job.id)
        context.say(f"job {job.name} failed because of the runner or GitLab ({job.failure_reason}); it is retried")
    # GitLab runs later jobs again only if they were skipped, but the gate has judged without the lost jobs' results.
    for job in jobs:
        if lost and job.name == GATE_JOB and job.status == "failed" and job not in lost:
            pipelines.retry(context.bot, job.id)
    return bool(lost)


def failed_by_machine(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that failed because of the runner or GitLab, not because of the change. Pure."""
    return [job for job in jobs if job.status == "failed" and job.failure_reason in _MACHINE_REASONS]


def require_machine(context: Context, pipeline: Pipeline) -> None:
    """Raise ``MachineError`` if a job that a pipeline needs failed because of the runner or GitLab."""
    if pipeline.status != "failed":
        return
    for job in failed_by_machine(pipelines.jobs(context.bot, pipeline.id)):
        if not job.allow_failure:
            raise MachineError(
                f"the runner or GitLab, not the change, ended job {job.name} ({job.failure_reason}) again and again",
                hint=(
                    f"See `factory pipeline logs {pipeline.id} --job {job.name}` and repair the runner, then run the "
                    f"same command again: it retries a job that has not failed so {_MACHINE_RUNS} times. After that, "
                    "retry it in GitLab. No attempt is used up."
                ),
            )


def seconds(jobs: Sequence[Job]) -> float:
    """Return the seconds from the start of the first job to the end of the last."""
    starts = [clock.parse(job.started_at) for job in jobs if job.started_at]
    ends = [clock.parse(job.finished_at) for job in jobs if job.finished_at]
    return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0


def feedback(context: Context, pipeline: Pipeline, *, folder: Path) -> list[str]:
    """Return what an agent needs to fix a failed pipeline: each finding and the paths of the complete logs.

    The logs of failed jobs are written to ``folder``; without a verdict, their last lines are returned.
    """
    if pipeline.yaml_errors:
        return [f"The pipeline definition is invalid: {pipeline.yaml_errors}"]
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
    decision = verdict(context.bot, pipeline.id)
    lines = findings.brief(decision.gates, logs) if decision is not None else []
    if lines:
        return lines
    for job in failed:
        lines.append(f"Job {job.name} failed ({job.failure_reason}). The end of its log:")
        lines += files.read_text(folder / f"{job.name}.log").splitlines()[-_LOG_TAIL:]
    return lines


def repeated(past: Sequence[Sequence[str]]) -> str:
    """Return a finding that the last two attempts have in common, or an empty string. Pure."""
    if len(past) < 2:  # noqa: PLR2004 - the last two
        return ""
    before, now = ([line.strip() for line in lines if line.strip().startswith("what: ")] for lines in past[-2:])
    return next((line.removeprefix("what: ") for line in now if line in before), "")
