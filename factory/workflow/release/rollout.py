"""One environment of a merged change: what its apply and its check came to, seen in GitLab and recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import ApplyUnknown, FactoryError, NotFound, Refused
from factory.gitlab import deployments, issues, merge_requests, pipelines
from factory.model.gitlab import Approval, Deployment, Job, MergeRequest, Pipeline
from factory.operations import saved_plan
from factory.operations.saved_plan import SavedPlan
from factory.policies.model import Policies
from factory.terraform import apply as applying
from factory.workflow.context import Context
from factory.workflow.recorder import record

ENDED = frozenset({"success", "failed", "canceled", "skipped"})
_WAITING = frozenset({"created", "manual", "skipped"})
# The jobs of an environment, as .gitlab-ci.yml names them: apply-<environment> and so on.
APPLY, VERIFY, RETURN = "apply", "verify", "return"
_CHECKED = ".factory/deploy/deploy.json"
_RETURNED = ".factory/return/return.json"
_RESULTS = {"done": "applied", "refused": "refused"}


def job_of(context: Context, pipeline: int, kind: str, environment: str) -> Job | None:
    """Return the job of a kind that an environment has in a pipeline."""
    found = pipelines.jobs(context.bot, pipeline)
    return next((item for item in found if item.name == f"{kind}-{environment}"), None)


def deployment_of(context: Context, pipeline: Pipeline, environment: str) -> Deployment | None:
    """Return the newest deployment to an environment that belongs to a pipeline."""
    for item in deployments.find(context.bot, environment=environment):
        if item.pipeline == pipeline.id:
            return item
    return None


def decisions(context: Context, deployment: Deployment, job: Job | None) -> list[Approval]:
    """Return who decided for a deployment: its approvals, and the person who started its job by hand.

    Without protected environments (GitLab Free) that click is the approval; it means the plan that was shown.
    """
    found = list(deployment.approvals)
    if job is not None and job.status not in _WAITING and job.user != context.bot.account:
        found.append(Approval(job.user, job.started_at or ""))
    return found


@dataclass(frozen=True)
class Rollout:
    """A merge request's saved plan on its way to one environment."""

    context: Context
    policies: Policies
    request: MergeRequest
    issue: int
    environment: str
    pipeline: Pipeline
    saved: SavedPlan

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest of the plan."""
        return self.saved.manifests[self.environment]

    @property
    def digest(self) -> str:
        """The manifest's digest, which an approval names."""
        return self.saved.digest(self.environment)

    def apply_job(self) -> tuple[Job, Deployment]:
        """Return the job that applies, and the deployment that it is; raises ``NotFound``."""
        job = job_of(self.context, self.pipeline.id, APPLY, self.environment)
        deployment = deployment_of(self.context, self.pipeline, self.environment)
        if job is None or deployment is None:
            raise NotFound(f"pipeline {self.pipeline.id} applies nothing to {self.environment}")
        return job, deployment

    def record_apply(self) -> int:
        """Record what came of the apply, which has ended; return its deployment.

        Raises ``Refused`` where it was refused before it began, ``ApplyUnknown`` where nobody knows what it changed.
        """
        job, deployment = self.apply_job()
        written = pipelines.document(self.context.bot, job.id, self._file(applying.RESULT))
        result = _RESULTS.get(str(written.get("phase")), "unknown")
        empty = bool(written.get("replan_empty"))
        if written.get("manifest") != self.digest or (result == "applied" and not empty):
            result = "unknown"
        self._record(
            "apply",
            {"manifest": self.digest, "plan": str(self.manifest["plan"])},
            {
                "key": f"apply/{self.request.iid}/{job.id}",
                "pipeline": self.pipeline.id,
                "job": job.id,
                "deployment": deployment.id,
                "commit": self.request.sha,
                "manifest": self.digest,
                "plan": str(self.manifest["plan"]),
                "result": result,
                "replan_empty": empty,
            },
        )
        if result == "refused":
            raise Refused(f"the apply to {self.environment} was refused: {written.get('reason')}")
        if result == "unknown":
            raise self._unknown(job)
        return deployment.id

    def record_check(self, deployment: int) -> Mapping[str, Any]:
        """Record what the check from outside saw, which has ended; return the first app: its ``url`` and ``release``.

        Raises ``Refused`` where the deployment did not answer; where its traffic went back, that is recorded too.
        """
        job = job_of(self.context, self.pipeline.id, VERIFY, self.environment)
        if job is None:
            raise NotFound(f"pipeline {self.pipeline.id} verifies nothing in {self.environment}")
        seen = pipelines.document(self.context.bot, job.id, _CHECKED)
        first: Mapping[str, Any] = next(iter(seen.get("apps", ())), {})
        verified = job.status == "success" and bool(seen.get("verified"))
        self._record(
            "deploy",
            {},
            {
                "key": f"deploy/{self.request.iid}/{deployment}/{job.id}",
                "environment": self.environment,
                "url": first.get("url"),
                "commit": self.request.sha,
                "release": first.get("release"),
                "verified": verified,
                "deployment": deployment,
            },
        )
        if not verified:
            raise self._unverified(job, self._record_return())
        return first

    def _record_return(self) -> str:
        """Record what the job that gives the traffic back came to, if it ran; return it in words."""
        job = job_of(self.context, self.pipeline.id, RETURN, self.environment)
        if job is None or job.status not in {"success", "failed", "canceled"}:
            return ""
        done = pipelines.document(self.context.bot, job.id, _RETURNED)
        applied = pipelines.document(self.context.bot, job.id, f".factory/return/{self.environment}/{applying.RESULT}")
        if not done and job.status == "success":
            return ""
        releases = [str(app["release"]) for app in done.get("apps", ())]
        result = "returned" if releases else _RESULTS.get(str(applied.get("phase") or "refused"), "unknown")
        self._record(
            "return",
            {},
            {
                "key": f"return/{self.request.iid}/{job.id}",
                "environment": self.environment,
                "pipeline": self.pipeline.id,
                "job": job.id,
                "commit": self.request.sha,
                "manifest": applied.get("manifest"),
                "releases": releases,
                "result": result,
            },
        )
        if releases:
            return f"its traffic is back at {', '.join(releases)}"
        return f"its traffic could not be given back ({done.get('reason') or result}; job {job.id})"

    def _unverified(self, job: Job, returned: str) -> FactoryError:
        context, iid = self.context, self.request.iid
        told = f"the deployment of !{iid} to {self.environment} is applied but not verified"
        if returned:
            told += f"; {returned}"
            body = f"{told[0].upper()}{told[1:]}. Mend it with a merge request of its own."
            issues.say(context.bot, "issues", self.issue, marker=f"return {job.id}", body=body)
        return Refused(
            told,
            hint=f"Look at `factory pipeline logs {self.pipeline.id}`; {job.name} can be started again in GitLab.",
        )

    def _unknown(self, job: Job) -> FactoryError:
        context, labels, iid = self.context, self.policies.session.labels, self.request.iid
        issues.relabel(context.bot, self.issue, add=[labels.apply_unknown], remove=[labels.shipping])
        merge_requests.relabel(context.bot, iid, add=[labels.apply_unknown], remove=[labels.shipping])
        body = (
            f"The apply of !{iid} to {self.environment} (job {job.id}) was interrupted. What it changed is not known, "
            "and it is not started again. Follow `runbooks/apply-unknown.md`."
        )
        issues.say(context.bot, "issues", self.issue, marker=f"apply-unknown {job.id}", body=body)
        return ApplyUnknown(
            f"the apply of !{iid} to {self.environment} (job {job.id}) was interrupted; what it changed is not known"
        )

    def _file(self, name: str) -> str:
        return f"{saved_plan.FOLDER}/{self.environment}/{name}"

    def _record(self, kind: str, subjects: Mapping[str, str], predicate: Mapping[str, Any]) -> None:
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
