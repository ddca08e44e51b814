"""Finds the issue and the main pipeline of a merge request, and names the variables of its apply job."""

import re

from factory.errors import NotFound
from factory.gitlab import pipelines
from factory.model.gitlab import MAIN, MergeRequest, Pipeline
from factory.workflow.context import Context

# CI variables of the apply job and of main's pipeline.
APPROVED, DESTROY, RELEASE = "APPROVED_MANIFEST", "ALLOWED_DESTROY", "RELEASE_COMMIT"
_ISSUE = re.compile(r"^Related to #(\d+)$", re.MULTILINE)


def issue_of(request: MergeRequest) -> int:
    """Return the issue of one of the factory's merge requests; raises ``NotFound``."""
    match = _ISSUE.search(request.description)
    if match is None:
        raise NotFound(f"!{request.iid} names no issue (`Related to #n`)")
    return int(match.group(1))


def main_pipeline(context: Context, sha: str) -> Pipeline | None:
    """Return the newest pipeline of main for a commit, except scheduled ones, which only look for drift."""
    found = [item for item in pipelines.of_commit(context.bot, sha, ref=MAIN) if item.source != "schedule"]
    return found[0] if found else None
