"""What a person sees before a decision, and the digests that the decision names."""

from collections.abc import Sequence

from factory.gitlab import issues, merge_requests, pipelines, statuses
from factory.model.attempt import AttemptResult
from factory.model.gitlab import Approval, MergeRequest, Note
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.operations import saved_plan
from factory.reports import plans as plan_note
from factory.system import clock
from factory.workflow.context import Context
from factory.workflow.release import approval_digests, review_content

REVIEW_MARK, PLAN_MARK = "review", "plan"
_WAITS = "!{} waits for a person's approval of this commit"


def deploy_mark(pipeline: int) -> str:
    """Return the marker of the note with the digests that a deployment's approval names."""
    return f"deploy {pipeline}"


def description(frozen: FrozenIssue, session: Session, *, claim: str) -> str:
    """Return a merge request's description; the agent's own summary is marked as not verified."""
    said = "\n".join(f"> {line}" for line in claim.strip().splitlines()) or "> (nothing)"
    return (
        f"Related to #{frozen.iid}\n\nSpec: {frozen.spec}\n\nThe agent's own summary (not verified):\n\n"
        f"{said}\n\nFactory-Session: {session.id}\n"
    )


def present(
    context: Context, iid: int, *, issue: int, spec: str, pipeline: int, attempts: Sequence[AttemptResult]
) -> None:
    """Write or update the merge request's one note: what a person must know, and what an approval names.

    ``attempts`` are the session's results. A person's own change (``issue`` is 0) is not blocked: the person may merge
    it by hand. Raises ``NotFound`` if the pipeline has no plan.
    """
    request = merge_requests.get(context.bot, iid)
    digests = approval_digests.current(context, head=request.sha, spec=spec, issue=issue, pipeline=pipeline)
    saved = saved_plan.of(context.bot, pipeline)
    if saved.job != saved_plan.NO_JOB:
        plans = plan_note.render(saved_plan.plans(context.bot, saved))
        issues.say(context.bot, "merge_requests", iid, marker=PLAN_MARK, body=plans)
    told = review_content.build(
        context, request, issue=issue, spec=spec, pipeline=pipeline, named=digests, attempts=attempts
    )
    issues.say(context.bot, "merge_requests", iid, marker=REVIEW_MARK, body=told)
    if issue:
        hold(context, request.sha, pipeline, "pending", _WAITS.format(iid))


def hold(context: Context, sha: str, pipeline: int, state: statuses.State, why: str) -> None:
    """Block or release a merge: GitLab blocks it while any commit status of the pipeline is not "success".

    With a single account no approval counts, so nothing is blocked: the person merges.
    """
    if not context.accounts.alone:
        statuses.put(context.bot, sha, name=statuses.APPROVAL, state=state, pipeline=pipeline, description=why)


def hold_head(context: Context, request: MergeRequest) -> None:
    """Block a merge request whose head was pushed after the reviewed commit, once its pipeline passed."""
    found = next(iter(pipelines.of_merge_request(context.bot, request.iid)), None)
    if found is not None and (found.sha, found.status) == (request.sha, "success"):
        hold(context, request.sha, found.id, "pending", _WAITS.format(request.iid))


def shown(context: Context, iid: int) -> list[str]:
    """Return the lines of digests that the review note shows; empty where there is none."""
    note = _note(context, iid)
    return [line for line in note.body.splitlines() if line.startswith("- ")] if note else []


def seen(context: Context, iid: int, given: Sequence[Approval]) -> list[Approval]:
    """Return the approvals that were given after the review note said what they name.

    An approval without a time counts, as in ``merge_requests.approvals``.
    """
    note = _note(context, iid)
    if note is None:
        return []
    return [
        item
        for item in given
        if not (item.at and note.updated_at) or clock.parse(item.at) >= clock.parse(note.updated_at)
    ]


def _note(context: Context, iid: int) -> Note | None:
    head = f"<!-- factory:{REVIEW_MARK} -->"
    found = issues.notes(context.bot, "merge_requests", iid)
    return next((note for note in found if note.author == context.bot.account and note.body.startswith(head)), None)


def shown_manifest(context: Context, iid: int, pipeline: int) -> str:
    """Return the digest of the manifest that the deployment's note shows; empty where there is none."""
    for note in issues.notes(context.bot, "merge_requests", iid):
        if note.author == context.bot.account and note.body.startswith(f"<!-- factory:{deploy_mark(pipeline)} -->"):
            named = [line.removeprefix("manifest ") for line in note.body.splitlines() if line.startswith("manifest ")]
            return named[0] if named else ""
    return ""
