"""Collects the content of the review note: verdict, changes in behaviour, the agent's summary and the cost."""

from collections.abc import Sequence
from dataclasses import replace

from factory.errors import InvalidInput, NotFound
from factory.gitlab import merge_requests, pipelines
from factory.model.attempt import AttemptResult
from factory.model.facts import Dependency, Facts, PlannedChange
from factory.model.gitlab import MergeRequest
from factory.model.verdict import GateReport, Verdict
from factory.operations import hosted_minutes, saved_plan
from factory.reports import review_note
from factory.specs import read as specs
from factory.system import data
from factory.workflow.context import Context
from factory.workflow.release import approval_digests, pipeline_watch
from factory.workflow.release.approval_digests import ApprovalDigests

_FACTS, _FACTS_JOB = ".factory/facts/facts.json", "validate"
_CONTRACT = "/openapi.yml"
# What a pipeline without a verdict decided.
_NOTHING = GateReport("failed", "", "", "", (), (), (), 0, None)
_ALONE = (
    "One account is author, factory and approver here (separation: none), so no approval counts: do you merge this and "
    "start its deployment yourself, in GitLab?"
)


def build(
    context: Context,
    request: MergeRequest,
    *,
    issue: int,
    spec: str,
    pipeline: int,
    named: ApprovalDigests,
    attempts: Sequence[AttemptResult],
) -> str:
    """Return the note's markdown for a merge request and the pipeline that judged its head.

    ``named`` are the digests that an approval names, ``attempts`` are the session's results.
    """
    found = approval_digests.spec_of(context, context.main() if issue else request.sha, name=spec, issue=issue)
    decision = pipeline_watch.verdict(context.bot, pipeline) or _NOTHING
    used = [item.total_tokens for item in attempts if item.usage]
    return review_note.render(
        review_note.ReviewNote(
            merge_request=request.iid,
            issue=named.issue,
            head=named.head,
            spec=found.id if found else "",
            spec_digest=named.spec,
            policy=named.policy,
            plan=named.plan,
            rows=_rows(found, decision),
            verdicts=decision.gates,
            required=decision.required,
            would_block=decision.would_block,
            behaviour=_behaviour(context, request, pipeline),
            claim=attempts[-1].message if attempts else None,
            cost=review_note.Cost(
                attempts=len(attempts),
                tokens=sum(used) if used else None,
                agent_seconds=sum(item.seconds for item in attempts),
                job_seconds=pipeline_watch.seconds(pipelines.jobs(context.bot, pipeline)),
                minutes_left=_minutes_left(context),
            ),
            excused=_excused(context, decision.gates),
            risks=tuple(
                review_note.Risk(item.name, item.decide, ", ".join(item.because))
                for item in (decision.needed.risks if decision.needed else ())
            ),
            decisions=(*_decisions(found, decision), *([_ALONE] if context.accounts.alone else [])),
            links=((f"Pipeline {pipeline}", f"{request.web_url.split('/-/')[0]}/-/pipelines/{pipeline}"),),
        )
    )


def _minutes_left(context: Context) -> int | None:
    """Return the compute minutes left, if GitLab tells the factory's account; the simulator's jobs cost none."""
    found = None if context.accounts.simulator else hosted_minutes.read(context.bot, context.policies())
    return found.left if found else None


def _rows(spec: specs.Spec | None, decision: GateReport) -> tuple[review_note.Row, ...]:
    texts = {item.id: item.text for item in spec.requirements} if spec else {}
    return tuple(
        review_note.Row(
            item.id,
            texts.get(item.id, ""),
            tuple((test.name, test.outcome) for test in item.tests),
        )
        for item in decision.requirements
    )


def _decisions(spec: specs.Spec | None, decision: GateReport) -> tuple[str, ...]:
    """Return what a person must decide besides the risks."""
    open_ones = [item.id for item in decision.requirements if item.result == "untested"]
    found = [f"No test cites {', '.join(open_ones)}: does this change need to prove them?"] if open_ones else []
    if spec is not None and not spec.requirements:
        found.append("The issue names no spec: does the change do what its list says?")
    return tuple(found)


def _excused(context: Context, verdicts: Sequence[Verdict]) -> tuple[review_note.AcceptedFinding, ...]:
    accepted = {(item.rule, item.subject): item for item in context.policies().exceptions.exceptions}
    return tuple(
        review_note.AcceptedFinding(item.rule, item.subject, rule.owner, rule.expires)
        for verdict in verdicts
        for item in verdict.excused
        if (rule := accepted.get((item.rule, item.subject))) is not None
    )


def _behaviour(context: Context, request: MergeRequest, pipeline: int) -> review_note.Behaviour:
    contract = tuple(
        line
        for item in merge_requests.changes(context.bot, request.iid)
        if item.new_path.endswith(_CONTRACT)
        for line in item.diff.splitlines()
        if line[:1] in {"+", "-"}
    )
    before, after = _dependencies(context, pipeline)
    return review_note.Behaviour(
        contract=contract,
        plan=_plan(context, pipeline),
        added=None if after is None or before is None else _names(set(after) - set(before)),
        removed=None if after is None or before is None else _names(set(before) - set(after)),
    )


def _names(found: set[Dependency]) -> tuple[str, ...]:
    return tuple(sorted({f"{item.name} {item.version}" for item in found}))


def _dependencies(
    context: Context, pipeline: int
) -> tuple[tuple[Dependency, ...] | None, tuple[Dependency, ...] | None]:
    try:
        found = _artifact(context, pipeline, _FACTS_JOB, _FACTS)
        facts = data.read(Facts, found or b"null", source=_FACTS)
    except InvalidInput:
        return None, None
    return facts.dependencies or (None, None)


def _plan(context: Context, pipeline: int) -> tuple[PlannedChange, ...] | None:
    try:
        found = saved_plan.plans(context.bot, saved_plan.of(context.bot, pipeline))
    except NotFound:
        return None
    return tuple(
        replace(change, address=f"{plan.stack}: {change.address}") for plan in found for change in plan.changes
    )


def _artifact(context: Context, pipeline: int, job: str, path: str) -> bytes | None:
    found = next((item for item in pipelines.jobs(context.bot, pipeline) if item.name == job), None)
    return None if found is None else pipelines.artifact(context.bot, found.id, path)
