"""ship: from an approved merge request to a verified deployment and a closed issue.

Two stretches, with a person's decision between them: merge → plan, and approve → apply → verify → close. Each step
looks at GitLab first. An apply that was interrupted is never started again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from factory.errors import ApplyUnknown, NotFound, Refused
from factory.gitlab import deployments, issues, merge_requests, pipelines
from factory.model.gitlab import Deployment, Job, MergeRequest, Pipeline
from factory.policies.model import Policies
from factory.reports import plans as plan_note
from factory.specs import read as specs
from factory.workflow import planned, review, wanted, watch
from factory.workflow.context import MAIN, Context
from factory.workflow.engine import Steps
from factory.workflow.planned import Saved
from factory.workflow.record import record, record_plans

MERGE_STEPS = ("merge", "plan")
DEPLOY_STEPS = ("apply", "verify", "close")
APPLY_JOB, VERIFY_JOB = "apply", "verify"
APPROVED = "APPROVED_MANIFEST"
DESTROY, RELEASE = "ALLOWED_DESTROY", "RELEASE_COMMIT"
_APPLY_RESULT = ".factory/plan/{}/apply.json"
_DEPLOY_RESULT = ".factory/deploy/deploy.json"
_ISSUE = re.compile(r"^Related to #(\d+)$", re.MULTILINE)
_NAMED = re.compile(r"manifest (sha256:[0-9a-f]{64})")
_DESTROY = re.compile(r"destroy (sha256:[0-9a-f]{64})")
ENDED = {"success", "failed", "canceled", "skipped"}


def merge(run: Steps, context: Context, iid: int) -> dict[str, Any]:
    """Merge an approved merge request and have main's plan made; return where it stands."""
    shipment = _Shipment.of(context, iid)
    merged = run("merge", shipment.merge)
    return merged if merged["state"] == "superseded" else run("plan", shipment.plan)


def deploy(run: Steps, context: Context, iid: int) -> dict[str, Any]:
    """Apply the approved plan, verify the deployment and close the issue; return where it stands."""
    shipment = _Shipment.of(context, iid)
    applied = run("apply", shipment.apply)
    run("verify", shipment.verify, applied)
    return run("close", shipment.close)


def issue_of(request: MergeRequest) -> int:
    """Return the issue that a merge request of the factory is related to; raises ``NotFound``."""
    match = _ISSUE.search(request.description)
    if match is None:
        raise NotFound(f"!{request.iid} names no issue (`Related to #n`)")
    return int(match.group(1))


def main_pipeline(context: Context, sha: str) -> Pipeline | None:
    """Return the newest pipeline of main for a commit; a scheduled one plans and applies nothing."""
    found = [item for item in pipelines.of_commit(context.bot, sha, ref=MAIN) if item.source != "schedule"]
    return found[0] if found else None


def deployment_of(context: Context, pipeline: Pipeline, environment: str) -> Deployment | None:
    """Return the newest deployment to an environment that belongs to a pipeline."""
    for item in deployments.find(context.bot):
        if item.pipeline == pipeline.id and item.environment == environment:
            return item
    return None


@dataclass(frozen=True)
class _Shipment:
    """The steps of one merge request on its way; each returns a JSON value and may be run again."""

    context: Context
    iid: int
    issue: int
    policies: Policies

    @classmethod
    def of(cls, context: Context, iid: int) -> "_Shipment":
        return cls(context, iid, issue_of(merge_requests.get(context.bot, iid)), context.policies())

    def merge(self) -> dict[str, Any]:
        """Check what the approval names, record it, and merge exactly the approved commit."""
        context, labels = self.context, self.policies.workflow.labels
        request = merge_requests.get(context.bot, self.iid)
        if request.state != "merged":
            if request.detailed_merge_status == "need_rebase":
                return self._offer_again()
            self._record_approval(request)
            request = merge_requests.merge(context.bot, self.iid, sha=request.sha)
            context.say(f"!{self.iid} is merged at {request.sha[:8]}")
        merge_requests.relabel(context.bot, self.iid, add=[labels.shipping], remove=[labels.review])
        issues.relabel(context.bot, self.issue, add=[labels.shipping], remove=[labels.review])
        context.fetch()
        self._record(
            "merge",
            {"commit": f"gitCommit:{request.sha}"},
            {
                "key": f"merge/{self.iid}",
                "merge_request": self.iid,
                "head": request.sha,
                "target": MAIN,
                "merged_by": request.merged_by or context.bot.account,
                "merge_commit": request.sha,
            },
        )
        return {"sha": request.sha, "state": "merged"}

    def plan(self) -> dict[str, Any]:
        """Wait for main's plan, record it, and say what a deployment's approval would name."""
        context = self.context
        request = merge_requests.get(context.bot, self.iid)
        pipeline = watch.until(
            context,
            lambda: main_pipeline(context, request.sha),
            minutes=self.policies.budgets.pipeline_minutes,
            over=lambda item: item.over,
        )
        if pipeline.status not in {"manual", "success"}:
            raise Refused(
                f"main's pipeline {pipeline.id} is {pipeline.status}",
                hint=f"Look at `factory pipeline show {pipeline.id}`.",
            )
        saved = record_plans(context, self.iid, issue=self.issue, pipeline=pipeline.id)
        if self._stack not in saved.manifests:
            return self._nothing_to_deploy()
        digest = saved.digest(self._stack)
        body = self._plan_note(saved, digest, pipeline.id)
        issues.say(context.bot, "merge_requests", self.iid, marker=review.deploy_mark(pipeline.id), body=body)
        context.say(f"!{self.iid} is planned; its deployment waits for approval")
        return {"pipeline": pipeline.id, "manifest": digest}

    def apply(self) -> dict[str, Any]:
        """Start the apply of the approved plan, once, and see what came of it."""
        context = self.context
        request = merge_requests.get(context.bot, self.iid)
        pipeline, job, deployment = self._apply_job(request)
        saved = planned.of(context.bot, pipeline.id)
        manifest, digest = saved.manifests[self._stack], saved.digest(self._stack)
        if job.status == "manual":
            destroy = self._record_deploy_approval(request, deployment, manifest, digest)
            pipelines.play(context.bot, job.id, {APPROVED: digest, DESTROY: destroy})
            context.say(f"the approved plan is being applied (job {job.id})")
        watch.until(
            context,
            lambda: main_pipeline(context, request.sha),
            minutes=self.policies.budgets.pipeline_minutes,
            over=lambda _: self._apply_job(request)[1].status in ENDED,
        )
        result = self._apply_result(job, digest)
        self._record(
            "apply",
            {"commit": f"gitCommit:{request.sha}", "manifest": digest, "plan": str(manifest["plan"])},
            {
                "key": f"apply/{self.iid}/{job.id}",
                "merge_request": self.iid,
                "pipeline": pipeline.id,
                "job": job.id,
                "deployment": deployment.id,
                "commit": request.sha,
                "manifest": digest,
                "plan": str(manifest["plan"]),
                "result": result["result"],
                "replan_empty": result["replan_empty"],
            },
        )
        self._stop_unless_applied(result, job)
        return {"pipeline": pipeline.id, "deployment": deployment.id, "sha": request.sha}

    def verify(self, applied: dict[str, Any]) -> dict[str, Any]:
        """Wait for the job that looks at the deployment from outside, and record what it saw."""
        context = self.context
        pipeline = watch.until(
            context,
            lambda: pipelines.get(context.bot, applied["pipeline"]),
            minutes=self.policies.budgets.pipeline_minutes,
            over=lambda item: item.over,
        )
        job = next((item for item in pipelines.jobs(context.bot, pipeline.id) if item.name == VERIFY_JOB), None)
        data = pipelines.artifact(context.bot, job.id, _DEPLOY_RESULT) if job else None
        seen: dict[str, Any] = json.loads(data) if data else {"apps": []}
        first: dict[str, Any] = next(iter(seen["apps"]), {})
        verified = pipeline.status == "success" and bool(seen.get("verified"))
        self._record(
            "deploy",
            {"commit": f"gitCommit:{applied['sha']}"},
            {
                "key": f"deploy/{self.iid}/{applied['deployment']}",
                "merge_request": self.iid,
                "environment": self.policies.environments.deploy,
                "url": first.get("url"),
                "commit": applied["sha"],
                "release": first.get("release"),
                "verified": verified,
                "deployment": applied["deployment"],
            },
        )
        if not verified:
            raise Refused(
                f"the deployment of !{self.iid} is applied but not verified",
                hint=f"Look at `factory pipeline logs {pipeline.id}`; the job verify can be started again in GitLab.",
            )
        context.say(f"verified: {first.get('url')} answers with {first.get('release')}")
        return {"release": first.get("release")}

    def close(self) -> dict[str, Any]:
        """Close the issue and take the labels off."""
        context, labels = self.context, self.policies.workflow.labels
        body = (
            f"Shipped by !{self.iid}: merged, applied and verified. Check it with `factory evidence verify {self.iid}`."
        )
        issues.say(context.bot, "issues", self.issue, marker=f"shipped {self.iid}", body=body)
        issues.close(context.bot, self.issue)
        issues.relabel(context.bot, self.issue, remove=[labels.shipping, labels.review, labels.claimed])
        merge_requests.relabel(context.bot, self.iid, remove=[labels.shipping, labels.review])
        context.say(f"#{self.issue} is closed")
        return {"issue": self.issue, "state": "closed"}

    @property
    def _stack(self) -> str:
        return self.policies.environments.deploy

    def _plan_note(self, saved: Saved, digest: str, pipeline: int) -> str:
        manifest = saved.manifests[self._stack]
        plans = planned.plans(self.context.bot, saved)
        lines = [f"- {name}: `{value}`" for name, value in manifest.items()]
        gone = [address for plan in plans if plan.stack == self._stack for address in plan.destroyed]
        if gone:
            lines += ["", f"It destroys {len(gone)} resources. An approval must say so: `destroy {manifest['plan']}`."]
        head = ["The plan of main is ready. Approving the deployment approves exactly this plan:", ""]
        back = pipelines.variables(self.context.bot, pipeline).get(RELEASE)
        if back:
            head = [f"This goes back to the release of {back[:12]}.", "", *head]
        return "\n".join([*head, f"manifest {digest}", "", *lines, "", plan_note.render(plans)])

    def _nothing_to_deploy(self) -> dict[str, Any]:
        self.context.say(f"!{self.iid} touches no stack of {self.policies.environments.deploy}: nothing is deployed")
        self.close()
        return {"state": "closed", "issue": self.issue}

    def _offer_again(self) -> dict[str, Any]:
        """Close a merge request whose judged commit is not what would be merged, and offer its issue again."""
        context, labels = self.context, self.policies.workflow.labels
        body = (
            f"Superseded: main has moved since the pipeline judged this. #{self.issue} is offered to the factory again."
        )
        issues.say(context.bot, "merge_requests", self.iid, marker="superseded", body=body)
        merge_requests.relabel(context.bot, self.iid, remove=[labels.review])
        issues.relabel(context.bot, self.issue, add=[labels.ready], remove=[labels.review])
        merge_requests.close(context.bot, self.iid)
        context.say(f"!{self.iid} is superseded: main has moved; #{self.issue} is offered again")
        return {"state": "superseded", "issue": self.issue}

    def _record(self, kind: str, subjects: dict[str, str], predicate: dict[str, Any]) -> None:
        record(self.context, kind, issue=self.issue, subjects=subjects, predicate=predicate)

    def _record_approval(self, request: MergeRequest) -> None:
        """Record the approval of the head; refuse one that was given for something else than what holds now."""
        context = self.context
        given = merge_requests.approvals(context.bot, self.iid)
        allowed = self.policies.approvals.merge.approvers
        counted = review.counting(
            context, given, author=request.author, agents=self.policies.scope.agents, approvers=allowed
        )
        needed = review.required(context, request, self.policies, len(counted))
        if len(counted) < needed:
            raise Refused(f"!{self.iid} has {len(counted)} of {needed} approvals that count")
        latest = next(item for item in pipelines.of_merge_request(context.bot, self.iid) if item.sha == request.sha)
        spec = specs.cited(request.description) or ""
        digests = review.named(context, head=request.sha, spec=spec, issue=self.issue, pipeline=latest.id)
        shown = review.shown(context, self.iid)
        if shown != digests.lines():
            changed = sorted(set(digests.lines()) - set(shown))
            raise Refused(f"!{self.iid} was approved for something else; changed since: {'; '.join(changed)}")
        plan = None if digests.plan == review.NO_PLAN else digests.plan
        for approval in counted:
            self._record(
                "approval",
                {"commit": f"gitCommit:{digests.head}", **({"plan": plan} if plan else {})},
                {
                    "key": f"approval/merge/{self.iid}/{request.sha}/{approval.username}",
                    "scope": "merge",
                    "merge_request": self.iid,
                    "approver": approval.username,
                    "approval_type": review.approval_type(approval.username),
                    "head": digests.head,
                    "spec": digests.spec,
                    "policy": digests.policy,
                    "plan": plan,
                },
            )

    def _record_deploy_approval(
        self, request: MergeRequest, deployment: Deployment, manifest: Mapping[str, Any], digest: str
    ) -> str:
        """Record the deployment's approvals that name this manifest; one that names none means what was shown.

        Returns the digest of the plan that they allow to destroy something, if any does.
        """
        context = self.context
        shown = review.shown_manifest(context, self.iid, deployment.pipeline)
        counted = [
            item
            for item in review.counting(
                context, deployment.approvals, author=request.author, agents=self.policies.scope.agents
            )
            if (_NAMED.findall(item.comment) or [shown]) == [digest]
        ]
        if len(counted) < self.policies.environments.target.approvals:
            raise Refused(f"deployment {deployment.id} has no approval that names manifest {digest}")
        name = specs.cited(request.description) or ""
        spec = wanted.of_issue(context, request.sha, name=name, issue=self.issue)
        for approval in counted:
            self._record(
                "approval",
                {"commit": f"gitCommit:{request.sha}", "plan": str(manifest["plan"])},
                {
                    "key": f"approval/deploy/{self.iid}/{digest}/{approval.username}",
                    "scope": "deploy",
                    "merge_request": self.iid,
                    "approver": approval.username,
                    "approval_type": review.approval_type(approval.username),
                    "head": request.sha,
                    "spec": spec.digest,
                    "policy": str(manifest["policy"]),
                    "plan": str(manifest["plan"]),
                },
            )
        return next((found[1] for item in counted if (found := _DESTROY.search(item.comment))), "")

    def _apply_job(self, request: MergeRequest) -> tuple[Pipeline, Job, Deployment]:
        context = self.context
        pipeline = main_pipeline(context, request.sha)
        if pipeline is None:
            raise NotFound(f"main has no pipeline for {request.sha[:8]}")
        job = next((item for item in pipelines.jobs(context.bot, pipeline.id) if item.name == APPLY_JOB), None)
        deployment = deployment_of(context, pipeline, self.policies.environments.deploy)
        if job is None or deployment is None:
            raise NotFound(f"pipeline {pipeline.id} has no apply to approve")
        return pipeline, job, deployment

    def _apply_result(self, job: Job, digest: str) -> dict[str, Any]:
        """Return what the apply left: applied, refused before it began, or unknown."""
        data = pipelines.artifact(self.context.bot, job.id, _APPLY_RESULT.format(self._stack))
        written: dict[str, Any] = json.loads(data) if data else {}
        phase = written.get("phase") if written.get("manifest") == digest else None
        result = {"done": "applied", "refused": "refused"}.get(str(phase), "unknown")
        empty = bool(written.get("replan_empty"))
        if result == "applied" and not empty:
            result = "unknown"
        return {"result": result, "replan_empty": empty, "reason": written.get("reason", "")}

    def _stop_unless_applied(self, result: dict[str, Any], job: Job) -> None:
        if result["result"] == "applied":
            return
        context, labels = self.context, self.policies.workflow.labels
        if result["result"] == "refused":
            raise Refused(f"the apply of !{self.iid} was refused: {result['reason']}")
        issues.relabel(context.bot, self.issue, add=[labels.apply_unknown], remove=[labels.shipping])
        merge_requests.relabel(context.bot, self.iid, add=[labels.apply_unknown], remove=[labels.shipping])
        body = (
            f"The apply of !{self.iid} (job {job.id}) was interrupted. What it changed is not known, and it is not "
            "started again. Follow `runbooks/apply-unknown.md`."
        )
        issues.say(context.bot, "issues", self.issue, marker=f"apply-unknown {job.id}", body=body)
        raise ApplyUnknown(f"the apply of !{self.iid} (job {job.id}) was interrupted; what it changed is not known")
