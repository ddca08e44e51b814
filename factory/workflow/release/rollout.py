"""Reads from GitLab, and records, the results of a merged change's apply and check in one environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from factory.errors import ApplyUnknown, FactoryError, NotFound, Refused
from factory.gitlab import deployments, pipelines
from factory.model.deployment import AppRelease, CheckResult
from factory.model.gitlab import Approval, Deployment, Job, MergeRequest, Pipeline
from factory.operations import job_result, saved_plan
from factory.operations.saved_plan import SavedPlan
from factory.policies.model import Policies
from factory.terraform.manifest import Manifest
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.workflow.release import shipment

ENDED = frozenset({"success", "failed", "canceled", "skipped"})
_WAITING = frozenset({"created", "manual", "skipped"})
# The kinds of jobs in .gitlab-ci.yml; a job is named <kind>-<environment>.
APPLY, VERIFY, RETURN = "apply", "verify", "return"
_CHECKED = ".factory/deploy/deploy.json"
_RETURNED = ".factory/return/return.json"
_RESULTS = {"done": "applied", "refused": "refused"}


def job_of(context: Context, pipeline: int, kind: str, environment: str) -> Job | None:
    """Return the job of a kind for an environment in a pipeline."""
    found = pipelines.jobs(context.bot, pipeline)
    return next((item for item in found if item.name == f"{kind}-{environment}"), None)


def deployment_of(context: Context, pipeline: Pipeline, environment: str) -> Deployment | None:
    """Return the newest deployment to an environment that belongs to a pipeline."""
    for item in deployments.find(context.bot, environment=environment):
        if item.pipeline == pipeline.id:
            return item
    return None


def decisions(context: Context, deployment: Deployment, job: Job | None) -> list[Approval]:
    """Return the approvals of a deployment, including the person who started its job by hand.

    Without protected environments (GitLab Free), starting the job is the approval of the plan in the note.
    """
    found = list(deployment.approvals)
    if job is not None and job.status not in _WAITING and job.user != context.bot.account:
        found.append(Approval(job.user, job.started_at or ""))
    return found


@dataclass(frozen=True)
class Rollout:
    """The rollout of a merge request's saved plan to one environment."""

    context: Context
    policies: Policies
    request: MergeRequest
    issue: int
    environment: str
    pipeline: Pipeline
    saved: SavedPlan

    @property
    def manifest(self) -> Manifest:
        """The manifest of the plan."""
        return self.saved.manifests[self.environment]

    @property
    def digest(self) -> str:
        """The manifest's digest, which an approval names."""
        return self.saved.digest(self.environment)

    def apply_job(self) -> tuple[Job, Deployment]:
        """Return the apply job and its deployment; raises ``NotFound``."""
        job = job_of(self.context, self.pipeline.id, APPLY, self.environment)
        deployment = deployment_of(self.context, self.pipeline, self.environment)
        if job is None or deployment is None:
            raise self._without(APPLY)
        return job, deployment

    def record_apply(self) -> int:
        """Record the result of the ended apply; return the id of its deployment.

        Raises ``Refused`` if the apply was refused before it began, ``ApplyUnknown`` if its changes are not known.
        """
        job, deployment = self.apply_job()
        written = job_result.apply(self.context.bot, job.id, f"{saved_plan.FOLDER}/{self.environment}")
        result = _RESULTS.get(written.phase, "unknown")
        if written.manifest != self.digest or (result == "applied" and not written.replan_empty):
            result = "unknown"
        self._record(
            "apply",
            {"manifest": self.digest, "plan": self.manifest.plan},
            {
                "key": f"apply/{self.request.iid}/{job.id}",
                "pipeline": self.pipeline.id,
                "job": job.id,
                "deployment": deployment.id,
                "commit": self.request.sha,
                "manifest": self.digest,
                "plan": self.manifest.plan,
                "result": result,
                "replan_empty": written.replan_empty,
            },
        )
        if result == "refused":
            raise Refused(f"the apply to {self.environment} was refused: {written.reason}")
        if result == "unknown":
            raise self._unknown(job)
        return deployment.id

    def check_job(self, kind: str = VERIFY) -> Job:
        """Return the job that checks from outside, after an apply or (``CONFIRM``) without one; raises ``NotFound``."""
        job = job_of(self.context, self.pipeline.id, kind, self.environment)
        if job is None:
            raise self._without(kind)
        return job

    def _without(self, kind: str) -> NotFound:
        return NotFound(
            f"pipeline {self.pipeline.id} has no {kind} job for {self.environment}",
            hint=f"See its jobs with `factory pipeline show {self.pipeline.id}`.",
        )

    def record_check(self, deployment: int, kind: str = VERIFY) -> AppRelease | None:
        """Record the result of the ended check from outside; return the release of the first app that answers.

        Raises ``Refused`` if the check failed; then the result of the job that returns the traffic is recorded too.
        """
        job = self.check_job(kind)
        check = job_result.of(self.context.bot, job.id, _CHECKED, CheckResult())
        first = next(iter(check.apps), None)
        verified = job.status == "success" and check.verified
        self._record(
            "deploy",
            {},
            {
                "key": f"deploy/{self.request.iid}/{deployment}/{job.id}",
                "environment": self.environment,
                "url": first.url if first else None,
                "commit": self.request.sha,
                "release": first.release if first else None,
                "verified": verified,
                "deployment": deployment,
            },
        )
        if not verified:
            raise self._unverified(job, self._record_return())
        return first

    def _record_return(self) -> str:
        """Record the result of the job that returns the traffic, if it ran; return a description of it."""
        job = job_of(self.context, self.pipeline.id, RETURN, self.environment)
        if job is None or job.status not in {"success", "failed", "canceled"}:
            return ""
        done = job_result.of(self.context.bot, job.id, _RETURNED, CheckResult())
        applied = job_result.apply(self.context.bot, job.id, f".factory/return/{self.environment}")
        if done == CheckResult() and job.status == "success":
            return ""
        releases = [app.release for app in done.apps]
        result = "returned" if releases else _RESULTS.get(applied.phase, "unknown" if applied.manifest else "refused")
        self._record(
            "return",
            {},
            {
                "key": f"return/{self.request.iid}/{job.id}",
                "environment": self.environment,
                "pipeline": self.pipeline.id,
                "job": job.id,
                "commit": self.request.sha,
                "manifest": applied.manifest or None,
                "releases": releases,
                "result": result,
            },
        )
        if releases:
            return f"its traffic is back at {', '.join(releases)}"
        return f"its traffic could not be returned ({done.reason or result}; job {job.id})"

    def _unverified(self, job: Job, returned: str) -> FactoryError:
        context, iid = self.context, self.request.iid
        message = f"the deployment of !{iid} to {self.environment} is applied but not verified"
        if returned:
            message += f"; {returned}"
            body = f"{message[0].upper()}{message[1:]}. Fix it with a new merge request."
            shipment.say(context, self.issue, iid, marker=f"return {job.id}", body=body)
        return Refused(
            message,
            hint=f"See `factory pipeline logs {self.pipeline.id}`. You can retry the job {job.name} in GitLab.",
        )

    def _unknown(self, job: Job) -> FactoryError:
        context, labels, iid = self.context, self.policies.session.labels, self.request.iid
        shipment.relabel(context, self.issue, iid, add=[labels.apply_unknown], remove=[labels.shipping])
        body = (
            f"The apply of !{iid} to {self.environment} (job {job.id}) was interrupted. Its changes are not known. "
            f"It is not started again. `factory infra recover {iid}` examines it and applies nothing; "
            "`runbooks/apply-unknown.md` says what follows."
        )
        shipment.say(context, self.issue, iid, marker=f"apply-unknown {job.id}", body=body)
        return ApplyUnknown(
            f"the apply of !{iid} to {self.environment} (job {job.id}) was interrupted; its changes are not known",
            hint=f"Run `factory infra recover {iid}`: it applies nothing. Then follow runbooks/apply-unknown.md.",
        )

    def _record(self, kind: str, subjects: Mapping[str, str], predicate: Mapping[str, object]) -> None:
        bound = {"commit": f"gitCommit:{self.request.sha}", **subjects}
        if predicate.get("manifest"):
            bound["manifest"] = str(predicate["manifest"])
        record(
            self.context,
            kind,
            issue=self.issue,
            subjects=bound,
            predicate={"merge_request": self.request.iid, **predicate},
        )
