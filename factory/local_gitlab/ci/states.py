"""The pipeline state machine: pure functions that compute statuses from jobs (docs: CI/CD jobs, pipelines)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FINISHED = frozenset({"success", "failed", "canceled", "skipped"})
ACTIVE = frozenset({"pending", "running", "waiting_for_resource"})
_STATUS_OF_ONLY = (
    ("skipped", {"skipped", "ignored"}),
    ("success", {"success", "skipped", "warned", "ignored"}),
    ("created", {"created", "warned", "ignored"}),
    ("canceled", {"canceled", "success", "skipped", "warned", "ignored"}),
    ("pending", {"pending", "created", "skipped", "warned", "ignored"}),
)
_STATUS_OF_ONE = (
    ("running", {"running", "pending"}),
    ("waiting_for_resource", {"waiting_for_resource"}),
    ("manual", {"manual"}),
    ("running", {"created"}),
)


@dataclass(frozen=True)
class Job:
    """The fields of a job that the state machine needs."""

    id: int
    name: str
    stage: int
    status: str
    when: str
    allow_failure: bool
    needs: tuple[str, ...] | None
    optional_needs: frozenset[str] = frozenset()
    resource_group: str | None = None

    @property
    def passed(self) -> bool:
        """Whether later jobs may run: the job succeeded, or it did not but has ``allow_failure``."""
        return self.status == "success" or (self.status in {"failed", "canceled", "manual"} and self.allow_failure)

    @property
    def over(self) -> bool:
        """Whether the pipeline does not wait for the job: it is finished, or manual and optional."""
        return self.status in FINISHED or (self.status == "manual" and self.allow_failure)


def next_status(job: Job, jobs: Sequence[Job]) -> str | None:
    """Return the next status of a ``created`` job, or ``None`` while it waits for other jobs."""
    before = _upstream(job, jobs)
    if before is None:
        return "skipped"
    if not all(other.over for other in before):
        return None
    if job.when == "never":
        return "skipped"
    if job.when == "on_failure":
        failed = any(other.status == "failed" and not other.allow_failure for other in before)
        return "pending" if failed else "skipped"
    if job.when != "always" and not _lets_run(job, before):
        return "skipped"
    return "manual" if job.when == "manual" else "pending"


def _lets_run(job: Job, before: Sequence[Job]) -> bool:
    """Return whether the upstream jobs allow a job to run.

    With ``needs``, an upstream job that was skipped, or is manual and was not played, prevents it.
    """
    if job.needs is None:
        return all(other.passed or other.status == "skipped" for other in before)
    return all(other.passed and other.status != "manual" for other in before)


def _upstream(job: Job, jobs: Sequence[Job]) -> list[Job] | None:
    """Return the jobs that must run before a job, or ``None`` if a needed job does not exist."""
    if job.needs is None:
        return [other for other in jobs if other.stage < job.stage]
    by_name = {other.name: other for other in jobs}
    missing = [name for name in job.needs if name not in by_name and name not in job.optional_needs]
    return None if missing else [by_name[name] for name in job.needs if name in by_name]


def pipeline_status(jobs: Sequence[Job]) -> str:
    """Return a pipeline's status from its latest jobs: the first matching rule, as in GitLab's composite status."""
    found = {_counts_as(job) for job in jobs}
    for status, only in _STATUS_OF_ONLY:
        if found <= only:
            return status
    for status, one in _STATUS_OF_ONE:
        if found & one:
            return status
    return "failed"


def _counts_as(job: Job) -> str:
    if job.allow_failure and job.status in {"failed", "canceled"}:
        return "warned"
    return "ignored" if job.allow_failure and job.status == "manual" else job.status


def retries_left(job: Mapping[str, Any], attempts: int, reason: str, code: int | None) -> bool:
    """Return whether ``retry`` lets a failed job run again; ``attempts`` counts the runs so far (docs: retry).

    It does if the ``reason`` or the exit code of its script is among those that ``retry`` names.
    """
    retry = job.get("retry")
    if retry is None:
        return False
    if isinstance(retry, int):
        limit, when, codes = retry, ["always"], []
    else:
        limit = int(retry.get("max", 0))
        codes = _listed(retry.get("exit_codes", []))
        when = _listed(retry.get("when", [] if codes else ["always"]))
    return attempts <= limit and ("always" in when or reason in when or code in codes)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def detailed_merge_status(
    *,
    state: str,
    draft: bool,
    pipeline: str | None,
    must_succeed: bool,
    allow_skipped: bool,
    approvals_left: int,
    discussions_open: bool,
    conflict: bool,
    needs_rebase: bool,
) -> str:
    """Return the first reason against merging, or ``mergeable`` (docs: Merge requests API, merge status)."""
    passed = pipeline == "success" or (pipeline == "skipped" and allow_skipped)
    running = pipeline in {"created", "pending", "running", "waiting_for_resource"}
    reasons = (
        ("not_open", state != "opened"),
        ("draft_status", draft),
        ("ci_still_running", must_succeed and running),
        ("ci_must_pass", must_succeed and not passed),
        ("discussions_not_resolved", discussions_open),
        ("not_approved", approvals_left > 0),
        ("conflict", conflict),
        ("need_rebase", needs_rebase),
    )
    return next((name for name, holds in reasons if holds), "mergeable")
