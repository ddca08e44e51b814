"""ship: takes an approved merge request to a verified deployment and a closed issue.

It has two parts, with a person's decision between them. ``merge``: merge, then record the plan and the result of every
environment that needs no approval. ``deploy``: apply the approved plan, verify it and close the issue. Each step reads
GitLab first. An interrupted apply is never started again: ``merge`` finishes it if a later plan proves that it is done.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from factory.errors import AwaitingHuman, EvidenceIncomplete, FactoryError, InvalidInput, NotFound, Refused
from factory.evidence import preconditions
from factory.gitlab import issues, merge_requests, pipelines, releases, statuses
from factory.model.deployment import CONFIRM, AppRelease
from factory.model.gitlab import MAIN, Job, MergeRequest, Pipeline, Variables
from factory.model.session import Outcome
from factory.operations import saved_plan
from factory.operations.deployment_approval import APPROVED, DESTROY
from factory.operations.saved_plan import SavedPlan
from factory.policies.model import Policies
from factory.reports import plans as plan_note
from factory.reports.markdown import count
from factory.workflow.context import Context
from factory.workflow.durable_steps import Steps
from factory.workflow.recorder import read_tree, record, record_plans
from factory.workflow.release import (
    host_readiness,
    own_change,
    pipeline_watch,
    proof,
    record_approvals,
    review,
    shipment,
)
from factory.workflow.release.rollout import APPLY, ENDED, Rollout, job_of
from factory.workflow.release.shipment import RELEASE, ShippedIssue, main_pipeline

PROVEN = "proven"
# The states of main's pipeline in which its next apply may be started.
_REACHED = frozenset({"manual", "success"})
_SHORT = 12


@dataclass(frozen=True)
class Applied:
    """An apply that ended well: its pipeline and deployment."""

    pipeline: int
    deployment: int


def merge(run: Steps, context: Context, iid: int) -> Outcome:
    """Merge an approved merge request and record main's plan; return the outcome of the last step.

    If that plan proves that an interrupted apply did its work, check the deployment and close the issue too.
    """
    shipment = _Shipment.of(context, iid)
    merged = run("merge", Outcome, shipment.merge)
    if merged.state != "merged":
        return merged
    planned = run("plan", Outcome, shipment.plan)
    if planned.state != PROVEN:
        return planned
    run("confirm", Outcome, shipment.confirm)
    return run("close", Outcome, lambda: shipment.close(planned.manifest))


def review_own(run: Steps, context: Context, iid: int) -> Outcome:
    """Show what an approval of a person's own merge request names, and record what its pipeline found."""
    return run("review", Outcome, _Shipment.of(context, iid).review)


def deploy(run: Steps, context: Context, iid: int) -> Outcome:
    """Apply the approved plan, verify the deployment and close the issue; return the outcome of the last step."""
    shipment = _Shipment.of(context, iid)
    applied = run("apply", Applied, shipment.apply)
    run("verify", Outcome, lambda: shipment.verify(applied))
    return run("close", Outcome, shipment.close)


@dataclass(frozen=True)
class _Shipment:
    """The steps that ship one merge request; each may run again."""

    context: Context
    iid: int
    shipped: ShippedIssue
    policies: Policies

    @classmethod
    def of(cls, context: Context, iid: int) -> "_Shipment":
        request, policies = merge_requests.get(context.bot, iid), context.policies()
        return cls(context, iid, own_change.shipped_by(context, request, policies), policies)

    def review(self) -> Outcome:
        """Record a person's own change that its pipeline passed, and show on it what an approval names."""
        context = self.context
        request = merge_requests.get(context.bot, self.iid)
        pipeline = own_change.judged(context, request)
        if pipeline is None:
            return Outcome("waiting", merge_request=self.iid)
        own_change.record_proposal(context, request, pipeline)
        review.present(context, self.iid, issue=self.issue, spec=self.shipped.spec, pipeline=pipeline.id, attempts=())
        context.say(f"!{self.iid} is ready for review")
        return Outcome("review", merge_request=self.iid, pipeline=pipeline.id)

    def merge(self) -> Outcome:
        """Check and record the approval, and merge exactly the approved commit."""
        context, labels = self.context, self.policies.session.labels
        request = merge_requests.get(context.bot, self.iid)
        if request.state != "merged":
            context.fetch()
            if own_change.is_behind(context, request):
                return self._offer_again()
            record_approvals.of_merge(context, self.policies, request, self.shipped)
            self._insist_on_merge(request.sha)
            self._release_merge(request)
            request = merge_requests.merge(context.bot, self.iid, sha=request.sha)
            shipment.require_main(request)  # its target may have been changed since it was read
            context.say(f"!{self.iid} is merged at {request.sha[:8]}")
        context.fetch()
        if self.shipped.own and not own_change.is_recorded(context, "merge", f"merge/{self.iid}"):
            self._record_past(request)
        # A merge by hand that main has overtaken is recorded; its plan is not offered any more.
        newest = not self.shipped.own or context.main() == request.sha
        shipping = [labels.shipping] if newest else []
        shipment.relabel(context, self.issue, self.iid, add=shipping, remove=[labels.review])
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
        return Outcome("merged" if newest else "recorded", issue=self.issue, merge_request=self.iid)

    def _record_past(self, request: MergeRequest) -> None:
        """Record what GitLab still knows of a change that a person merged by hand; what is missing stays missing."""
        context = self.context
        pipeline = next((item for item in self._pipelines() if item.sha == request.sha and item.over), None)
        if pipeline is not None:
            with suppress(NotFound):
                own_change.record_proposal(context, request, pipeline)
        record_approvals.of_past_merge(context, self.policies, request, self.shipped)

    def _insist_on_merge(self, head: str) -> None:
        """Raise ``EvidenceIncomplete`` if the evidence on GitLab does not allow the merge of the head."""
        self.context.fetch()
        tree, trust = read_tree(self.context), self.context.trust()
        self._refuse(preconditions.unmet_before_merge(tree, trust, self.iid, head), "merged")

    def _insist_on_apply(self, rollout: Rollout) -> None:
        """Raise ``EvidenceIncomplete`` if the evidence on GitLab does not allow the apply; wait for the hosts."""
        self.context.fetch()
        tree, trust = read_tree(self.context), self.context.trust()
        unmet = preconditions.unmet_before_apply(
            tree,
            trust,
            self.iid,
            stack=rollout.environment,
            manifest=rollout.digest,
            plan=rollout.manifest.plan,
        )
        self._refuse(unmet, f"deployed to {rollout.environment}")
        host_readiness.wait(self.context, self.policies, rollout)

    def _refuse(self, unmet: tuple[str, ...], what: str) -> None:
        if unmet:
            raise EvidenceIncomplete(
                f"!{self.iid} is not {what}, because its evidence is incomplete or invalid: {'; '.join(unmet[:3])}",
                hint=f"See all with `factory evidence verify {self.iid}`.",
            )

    def _release_merge(self, request: MergeRequest) -> None:
        """Set the commit status that blocked the merge to success, and wait until the pipeline has ended with it."""
        context = self.context
        found = next((item for item in self._pipelines() if item.sha == request.sha), None)
        if found is None or context.accounts.alone or self.shipped.own:
            return
        if others := statuses.open_others(context.bot, request.sha, pipeline=found.id):
            raise AwaitingHuman(
                f"!{self.iid} is approved, but its pipeline is held open by the status {' and '.join(others)}",
                hint="Wait until its author ends it. A new pipeline of the merge request in GitLab does not have it.",
            )
        review.hold(context, request.sha, found.id, "success", f"!{self.iid} is approved")
        self._watch(lambda: pipelines.get(context.bot, found.id), lambda item: item.over)

    def _watch(self, find: Callable[[], Pipeline | None], over: Callable[[Pipeline], bool]) -> Pipeline:
        """Return the pipeline once ``over`` is true; raises ``ToolTimeout`` after the time that policy allows."""
        return pipeline_watch.until(self.context, find, minutes=self.policies.budgets.pipeline_minutes, over=over)

    def _pipelines(self) -> list[Pipeline]:
        return pipelines.of_merge_request(self.context.bot, self.iid)

    def plan(self) -> Outcome:
        """Wait for main's plan, record it, and write on the merge request which plan a deployment approval approves."""
        context = self.context
        request = merge_requests.get(context.bot, self.iid)
        pipeline = self._watch(lambda: main_pipeline(context, request.sha), lambda item: item.over)
        try:
            saved = record_plans(context, self.iid, issue=self.issue, pipeline=pipeline.id)
        except NotFound:
            if pipeline.status in _REACHED:
                raise
            raise _red(pipeline) from None
        for job in pipelines.jobs(context.bot, pipeline.id):
            environment = job.name.removeprefix(f"{APPLY}-")
            if environment == job.name or self.policies.environments.asked(environment):
                continue
            if job.status == "manual" and pipeline.status not in _REACHED:
                raise _red(pipeline)
            if environment in saved.manifests:
                self._roll_out(Rollout(context, self.policies, request, self.issue, environment, pipeline, saved))
            elif self._stack in saved.manifests and job.status == "manual":
                # It has nothing to apply, and jobs of later environments wait for it.
                self._start(job, {})
        pipeline = self._watch(lambda: pipelines.get(context.bot, pipeline.id), lambda item: item.over)
        if pipeline.status not in _REACHED:
            raise _red(pipeline)
        if not saved.manifests:
            self._record_unchanged(saved, pipeline.id, request.sha)
        if self._stack not in saved.manifests:
            return self._nothing_to_deploy()
        if proven := self._proven(saved, pipeline.id):
            return proven
        digest = saved.digest(self._stack)
        body = self._plan_note(saved, digest, pipeline.id)
        issues.say(context.bot, "merge_requests", self.iid, marker=review.deploy_mark(pipeline.id), body=body)
        context.say(f"!{self.iid} is planned; its deployment waits for approval")
        return Outcome("planned", issue=self.issue, merge_request=self.iid, pipeline=pipeline.id, manifest=digest)

    def apply(self) -> Applied:
        """Start the apply of the approved plan once, wait for it and record its result."""
        context, rollout = self.context, self._rollout()
        job, deployment = rollout.apply_job()
        destroy = record_approvals.of_deployment(rollout, self.shipped, deployment, job)
        if job.status == "manual":
            self._insist_on_apply(rollout)
            self._start(job, {APPROVED: rollout.digest, DESTROY: destroy})
            context.say(f"the approved plan is being applied (job {job.id})")
        self._watch(
            lambda: pipelines.get(context.bot, rollout.pipeline.id),
            lambda _: rollout.apply_job()[0].status in ENDED,
        )
        number = rollout.record_apply()
        return Applied(rollout.pipeline.id, number)

    def verify(self, applied: Applied) -> Outcome:
        """Wait for the job that checks the deployment from outside, and record its result."""
        context, rollout = self.context, self._rollout()
        self._watch(lambda: pipelines.get(context.bot, applied.pipeline), lambda item: item.over)
        checked = rollout.record_check(applied.deployment)
        context.say(f"verified: {_served(checked)}")
        release = checked.release if checked else ""
        return Outcome("verified", merge_request=self.iid, pipeline=applied.pipeline, release=release)

    def confirm(self) -> Outcome:
        """Check from outside what an interrupted apply deployed, with a job that applies nothing; record the result."""
        context, rollout = self.context, self._rollout()
        done = proof.interrupted(context, self.iid, stack=self._stack, pipeline=rollout.pipeline.id)
        if done is None:
            raise NotFound(
                f"pipeline {rollout.pipeline.id} follows no interrupted apply",
                hint=f"See its jobs with `factory pipeline show {rollout.pipeline.id}`.",
            )
        job = rollout.check_job(CONFIRM)
        if job.status == "manual":
            self._start(job, {})
        self._watch(
            lambda: pipelines.get(context.bot, rollout.pipeline.id),
            lambda _: rollout.check_job(CONFIRM).status in ENDED,
        )
        checked = rollout.record_check(done.deployment, CONFIRM)
        context.say(f"verified: {_served(checked)}")
        return Outcome("verified", merge_request=self.iid, pipeline=rollout.pipeline.id)

    def close(self, manifest: str = "") -> Outcome:
        """Create a GitLab release for the deployed commit, close the issue and remove the labels.

        ``manifest`` is the digest of the applied plan's manifest, by default that of main's newest plan.
        """
        context, labels = self.context, self.policies.session.labels
        done = "merged, applied and verified" if self._release(manifest) else "merged"
        body = f"Shipped by !{self.iid}: {done}. Check it with `factory evidence verify {self.iid}`."
        shipment.say(context, self.issue, self.iid, marker=f"shipped {self.iid}", body=body)
        if self.shipped.own:
            self._close_asked(body)
        else:
            issues.close(context.bot, self.issue)
        shipment.relabel(context, self.issue, self.iid, remove=[labels.shipping, labels.review, labels.claimed])
        context.say(f"!{self.iid} is shipped" if self.shipped.own else f"#{self.issue} is closed")
        return Outcome("closed", issue=self.issue, merge_request=self.iid)

    def _close_asked(self, body: str) -> None:
        """Close the issue that a person's own change answers, unless a session works on it or there is none."""
        context, asked = self.context, self.shipped.asked
        with suppress(NotFound):
            found = issues.get(context.bot, asked) if asked else None
            if found and found.state == "opened" and self.policies.session.labels.claimed not in found.labels:
                issues.say(context.bot, "issues", asked, marker=f"shipped {self.iid}", body=body)
                issues.close(context.bot, asked)

    @property
    def issue(self) -> int:
        """The number of the issue that is shipped, or 0."""
        return self.shipped.number

    @property
    def _stack(self) -> str:
        return self.policies.environments.deploy

    def _rollout(self) -> Rollout:
        """Return the rollout of main's newest plan to the environment that needs a person's approval."""
        request = merge_requests.get(self.context.bot, self.iid)
        pipeline = main_pipeline(self.context, request.sha)
        if pipeline is None:
            raise NotFound(
                f"main has no pipeline for {request.sha[:8]}",
                hint="`factory pipeline list` shows main's pipelines; `factory pipeline run` starts one.",
            )
        saved = saved_plan.of(self.context.bot, pipeline.id)
        return Rollout(self.context, self.policies, request, self.issue, self._stack, pipeline, saved)

    def _start(self, job: Job, variables: Variables) -> None:
        """Start a manual job, unless another machine has just done so."""
        try:
            pipelines.play(self.context.bot, job.id, variables)
        except (Refused, InvalidInput):
            if pipelines.job(self.context.bot, job.id).status == "manual":
                raise

    def _roll_out(self, rollout: Rollout) -> None:
        """Apply and check the plan of an environment that needs no approval, and record it; raises if either failed."""
        job, _ = rollout.apply_job()
        if job.status == "manual":
            self._insist_on_apply(rollout)
            self._start(job, {})
            self.context.say(f"the plan of {rollout.environment} is being applied (job {job.id})")
            self._watch(
                lambda: pipelines.get(self.context.bot, rollout.pipeline.id),
                lambda _: rollout.check_job().status in ENDED,
            )
            job, _ = rollout.apply_job()
        if job.status in {"success", "failed", "canceled"}:
            checked = rollout.record_check(rollout.record_apply())
            self.context.say(f"{rollout.environment}: {_served(checked)}")

    def _proven(self, saved: SavedPlan, pipeline: int) -> Outcome | None:
        """Record the proof that an interrupted apply did its work; ``None`` if there was none, or it is not proven."""
        context, new = self.context, saved.manifests[self._stack]
        done = proof.interrupted(context, self.iid, stack=self._stack, pipeline=pipeline)
        if done is None:
            return None
        what = f"the apply of !{self.iid} to {self._stack} (job {done.job})"
        gap = proof.gap(done.manifest, new, proof.left(context, self.policies, saved, self._stack))
        if not gap and job_of(context, pipeline, CONFIRM, self._stack) is None:
            gap = f".gitlab-ci.yml has no job {CONFIRM}-{self._stack}, which would check it"
        if gap:
            body = (
                f"{what[0].upper()}{what[1:]} is not proven to be complete: {gap}. A person decides: approve the "
                "deployment of the new plan to finish it, or go back with `factory infra rollback`."
            )
            issues.say(context.bot, "merge_requests", self.iid, marker=f"unproven {pipeline}", body=body)
            context.say(f"{what} is not proven: {gap}; a person decides, see runbooks/apply-unknown.md")
            return None
        self._record("proof", proof.subjects(done, new), proof.predicate(self.iid, done, new, pipeline=pipeline))
        body = (
            f"{what[0].upper()}{what[1:]} was interrupted, and counts as done by proof: pipeline {pipeline} planned "
            f"the same commit, nothing remains, and the state went from serial {done.manifest.state_serial} to "
            f"{new.state_serial}. It needs no further approval, and the deployment that pipeline {pipeline} offers "
            "may stay as it is."
        )
        issues.say(context.bot, "merge_requests", self.iid, marker=f"proof {done.job}", body=body)
        context.say(f"{what} is done, by proof: nothing remains to apply")
        digest = done.manifest.digest()
        return Outcome(PROVEN, issue=self.issue, merge_request=self.iid, pipeline=pipeline, manifest=digest)

    def _plan_note(self, saved: SavedPlan, digest: str, pipeline: int) -> str:
        manifest = saved.manifests[self._stack]
        plans = saved_plan.plans(self.context.bot, saved)
        lines = [f"- {name}: `{value}`" for name, value in sorted(asdict(manifest).items())]
        destroyed = [address for plan in plans if plan.stack == self._stack for address in plan.destroyed]
        if destroyed:
            size = count(len(destroyed), "resource")
            lines += ["", f"It destroys {size}. The approval must contain `destroy {manifest.plan}`."]
        head = ["The plan of main is ready. An approval of the deployment approves exactly this plan:", ""]
        back = pipelines.variables(self.context.bot, pipeline).get(RELEASE)
        if back:
            head = [f"This plan goes back to the release of commit {back[:12]}.", "", *head]
        return "\n".join([*head, f"manifest {digest}", "", *lines, "", plan_note.render(plans)])

    def _release(self, manifest: str) -> bool:
        """Return whether main's plan was deployed; create a GitLab release of it, unless it was a rollback."""
        rollout = self._rollout()
        back = pipelines.variables(self.context.bot, rollout.pipeline.id).get(RELEASE)
        if self._stack not in rollout.saved.manifests or back:
            return bool(back)
        sha = rollout.request.sha
        lines = [
            *([] if self.shipped.own else [f"- issue: #{self.issue}"]),
            f"- merge request: !{self.iid}",
            f"- manifest: `{manifest or rollout.digest}`",
            f"- archives: `{rollout.manifest.archives}`",
            f"- evidence: `factory evidence verify {self.iid}`",
        ]
        tag = f"{self._stack}-{sha[:_SHORT]}"
        releases.make(self.context.bot, tag, sha=sha, name=tag, description="\n".join(lines))
        return True

    def _nothing_to_deploy(self) -> Outcome:
        self.context.say(f"!{self.iid} is merged; it changes nothing that is deployed")
        return self.close()

    def _record_unchanged(self, saved: SavedPlan, pipeline: int, sha: str) -> None:
        """Record that main's plan changes no stack, so that the chain ends there."""
        self._record(
            "unchanged",
            {"commit": f"gitCommit:{sha}"},
            {
                "key": f"unchanged/{self.iid}/{pipeline}",
                "merge_request": self.iid,
                "pipeline": pipeline,
                "job": saved.job,
                "commit": sha,
            },
        )

    def _offer_again(self) -> Outcome:
        """Close a merge request that main has overtaken, and label its issue as ready again.

        A person's own stays open: its author rebases it.
        """
        context, labels = self.context, self.policies.session.labels
        if self.shipped.own:
            return Outcome("superseded", merge_request=self.iid)
        body = (
            f"Superseded: main has new commits since the pipeline of this merge request. #{self.issue} is ready again."
        )
        issues.say(context.bot, "merge_requests", self.iid, marker="superseded", body=body)
        merge_requests.relabel(context.bot, self.iid, remove=[labels.review])
        issues.relabel(context.bot, self.issue, add=[labels.ready], remove=[labels.review])
        merge_requests.close(context.bot, self.iid)
        for item in self._pipelines()[:1]:
            review.hold(context, item.sha, item.id, "canceled", f"!{self.iid} is superseded")
        context.say(f"!{self.iid} is superseded: main has new commits; #{self.issue} is ready again")
        return Outcome("superseded", issue=self.issue, merge_request=self.iid)

    def _record(self, kind: str, subjects: Mapping[str, str], predicate: Mapping[str, object]) -> None:
        record(self.context, kind, issue=self.issue, subjects=subjects, predicate=predicate)


def _served(first: AppRelease | None) -> str:
    return f"{first.url} serves release {first.release}" if first else "the stack has no app"


def _red(pipeline: Pipeline) -> FactoryError:
    return Refused(
        f"main's pipeline {pipeline.id} is {pipeline.status}", hint=f"Look at `factory pipeline show {pipeline.id}`."
    )
