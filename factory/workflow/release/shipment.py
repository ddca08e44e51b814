"""Finds the issue and the main pipeline of a merge request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from factory.errors import NotFound, Refused
from factory.gitlab import issues, merge_requests, pipelines
from factory.model.gitlab import MAIN, MergeRequest, Pipeline
from factory.model.issue import FrozenIssue
from factory.specs.trailers import trailers
from factory.system import data
from factory.workflow.claim import lease
from factory.workflow.context import Context

# The CI variable of main's pipeline that names the commit whose releases get the traffic.
RELEASE = "RELEASE_COMMIT"
# A person's own change is recorded without an issue.
NO_ISSUE = 0
# The CI variable that names the environment whose interrupted apply main's pipeline may confirm.
CONFIRM = "CONFIRM"
_NO_SESSION = (
    "Only what the factory opened for an issue has a session; `factory session list` shows those of this machine."
)
_BRANCH = re.compile(r"factory/([1-9][0-9]*)-([0-9a-f]{8})")
_RELATED = re.compile(r"^Related to #(\d+)\s*$", re.MULTILINE)
_TRAILER = re.compile(r"^(Issue|Factory-Session): (.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ShippedIssue:
    """The issue that a merge request ships, the session that worked on it, and the spec that it named at the claim.

    A person's own change has no issue and no session; its last commit may name a spec, and the issue that ``asked``.
    """

    number: int
    session: str
    spec: str
    asked: int = 0

    @property
    def own(self) -> bool:
        """Whether a person made the change by hand."""
        return self.number == NO_ISSUE


def is_session(request: MergeRequest) -> bool:
    """Return whether a merge request is of a branch of the factory's sessions."""
    return _BRANCH.fullmatch(request.source_branch) is not None


def of(context: Context, request: MergeRequest, *, own: bool) -> ShippedIssue:
    """Return what a merge request ships; ``own`` says that a person made it by hand. Raises as ``issue_of`` does."""
    if not own:
        return issue_of(context, request)
    text = context.mirror.messages("-1", request.sha)[0][1] if context.mirror.resolve(request.sha) else ""
    named = trailers(text)
    return ShippedIssue(NO_ISSUE, "", named.spec, named.issue)


def issue_of(context: Context, request: MergeRequest) -> ShippedIssue:
    """Return the issue of one of the factory's merge requests, from its branch and the issue's lease.

    Only the factory writes the lease. Whoever opened a merge request may edit its description, and an agent writes the
    trailers of its commits: both may say no other issue or session. Raises ``NotFound``, ``Refused``.
    """
    match = _BRANCH.fullmatch(request.source_branch)
    if match is None:
        raise NotFound(f"!{request.iid} is of no session: its branch is {request.source_branch}", hint=_NO_SESSION)
    require_main(request)
    number, session = int(match[1]), match[2]
    head = context.mirror.head(f"{lease.PREFIX}{number}")
    claims = context.mirror.messages(head) if head else []
    commit = next((sha for sha, text in claims if text.strip().endswith(f" for session {session}")), None)
    if commit is None:
        raise NotFound(
            f"!{request.iid} is of no session: the lease of #{number} does not name session {session}", hint=_NO_SESSION
        )
    _refuse_others(context, request, number, session)
    frozen = data.read(FrozenIssue, context.mirror.read(commit, "issue.json"), source=f"the lease of #{number}")
    return ShippedIssue(number, session, frozen.spec)


def require_main(request: MergeRequest) -> None:
    """Raise ``Refused`` if a merge request is not to main: whoever opened it may change its target at any time."""
    if request.target_branch != MAIN:
        raise Refused(
            f"!{request.iid} is to {request.target_branch}, and only what is merged to {MAIN} is shipped",
            hint=f"Set its target branch to {MAIN} again, or close it.",
        )


def say(context: Context, shipped: int, iid: int, *, marker: str, body: str) -> None:
    """Write a note on the issue that a merge request ships, or on the merge request itself if it ships none."""
    kind, number = ("issues", shipped) if shipped else ("merge_requests", iid)
    issues.say(context.bot, kind, number, marker=marker, body=body)


def relabel(context: Context, shipped: int, iid: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Add and remove labels of a merge request and of the issue that it ships, if any."""
    if shipped:
        issues.relabel(context.bot, shipped, add=add, remove=remove)
    merge_requests.relabel(context.bot, iid, add=add, remove=remove)


def _refuse_others(context: Context, request: MergeRequest, number: int, session: str) -> None:
    described = set(_RELATED.findall(request.description)) - {str(number)}
    text = context.mirror.messages("-1", request.sha)[0][1] if context.mirror.resolve(request.sha) else ""
    trailers = {(name, value) for name, value in _TRAILER.findall(text)}
    others = trailers - {("Issue", f"#{number}"), ("Factory-Session", session)}
    said = [*(f"Related to #{other}" for other in sorted(described)), *(f"{name}: {value}" for name, value in others)]
    if said:
        raise Refused(
            f"!{request.iid} says {' and '.join(said)}, but its branch and lease are of #{number}, session {session}",
            hint="Correct the description, or close the merge request.",
        )


def main_pipeline(context: Context, sha: str) -> Pipeline | None:
    """Return the newest pipeline of main for a commit, except scheduled ones, which only look for drift."""
    found = [item for item in pipelines.of_commit(context.bot, sha, ref=MAIN) if item.source != "schedule"]
    return found[0] if found else None
