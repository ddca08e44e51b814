"""Drift as issues: one for each stack, opened, changed in place and closed as the newest scheduled pipeline says.

The issue's hidden mark holds the stack, the fingerprint of what differs and the pipeline that found it out. The same
fingerprint again writes nothing, so that an issue that a person closed stays closed until something else differs.
"""

import re
from dataclasses import dataclass
from typing import Literal

from factory.errors import InvalidInput
from factory.gitlab import issues, pipelines, schedules, tracking_issue
from factory.model.gitlab import MAIN, Issue, Pipeline
from factory.policies.model import Policies
from factory.reports import drift as drift_note
from factory.reports.markdown import link, name
from factory.system import files
from factory.terraform import drift
from factory.workflow.context import Context

JOB, FOLDER = "drift", ".factory/drift"
_SEEN = "drift-seen"
_CLEAN = "clean"
_MARK = re.compile(r"\A<!-- factory:drift \S+ (\S+) (\d+) -->")
_WRITTEN = {"success", "failed"}
_RECONCILE = """
Reconcile it in one of two ways; the next scheduled pipeline that finds nothing closes this issue.

* It stays: an ordinary merge request writes it into `terraform/live/{stack}` or its modules, and its plan then changes
  nothing there.
* It goes: a deployment puts it back, once its plan is approved. `factory infra rollback --to <commit>`, with the commit
  of the release that is there now, plans main with that release.

See `runbooks/drift.md`. Closed by hand, this issue stays closed until something else differs.
"""


@dataclass(frozen=True)
class _IssueMark:
    """What an issue says already: of which fingerprint it is, and which pipeline found that out."""

    fingerprint: str
    pipeline: int


def tend(context: Context, policies: Policies) -> list[int]:
    """Bring the issues on drift up to date; return those that were written.

    Where the newest finished pipeline was looked at before, that is one request: which one is kept beside the
    instance's other state. Losing that costs a second look and writes nothing twice.
    """
    newest = next((item for item in schedules.newest(context.bot, ref=MAIN) if item.status in _WRITTEN), None)
    if newest is None:
        return []
    path = context.state / _SEEN
    # A job that is run again leaves other reports in the same pipeline.
    seen = f"{context.bot.url} {newest.id} {newest.status} {newest.duration}"
    if path.exists() and files.read_text(path) == seen:
        return []
    written = [_settle(context, policies, report, newest) for report in _reports(context, policies, newest)]
    written += _drop(context, policies)
    files.write_atomic(path, seen.encode())
    return [iid for iid in written if iid is not None]


def _reports(context: Context, policies: Policies, pipeline: Pipeline) -> list[drift.Report]:
    """Return what the pipeline's job left of each stack that policy lists; what is not readable is told and left."""
    job = next((item for item in pipelines.jobs(context.bot, pipeline.id) if item.name == JOB), None)
    if job is None:
        return []
    found = []
    for stack in sorted(policies.terraform.stacks):
        data = pipelines.artifact(context.bot, job.id, f"{FOLDER}/{stack}.json")
        try:
            found += [] if data is None else [_read(stack, data)]
        except InvalidInput as error:
            context.say(f"job {job.id}: {error}")
    return found


def _read(stack: str, data: bytes) -> drift.Report:
    report = drift.decode(data)
    if report.stack != stack:
        raise InvalidInput(f"the drift report of {stack} is of another stack")
    return report


def _settle(context: Context, policies: Policies, report: drift.Report, pipeline: Pipeline) -> int | None:
    """Write one stack's issue where it does not say what the report says; return its number if it was written."""
    if report.problem:
        context.say(f"drift of {report.stack} is not known: {report.problem}")
        return None
    mark = f"<!-- factory:drift {report.stack} "
    wanted = _CLEAN if report.clean else report.fingerprint
    found = tracking_issue.find(context.bot, mark)
    if not found and report.clean:
        return None
    body = f"{mark}{wanted} {pipeline.id} -->\n{_body(report, pipeline)}"
    if not found:
        made = tracking_issue.open_once(
            context.bot,
            mark,
            title=f"Drift: {report.stack}",
            description=body,
            labels=[policies.session.labels.drift],
        )
        context.say(f"#{made.iid} tells of drift in {report.stack}")
        return made.iid
    issue = found[0]
    known = _known(issue)
    if known.fingerprint == wanted or known.pipeline > pipeline.id:
        return None
    _rewrite(context, issue, report, pipeline, body)
    return issue.iid


def _drop(context: Context, policies: Policies) -> list[int]:
    """Close the issues of stacks that policy lists no more: nobody looks at those."""
    dropped = []
    for issue in tracking_issue.find(context.bot, "<!-- factory:drift "):
        stack = issue.description.split(" ", 3)[2]
        if issue.state == "opened" and stack not in policies.terraform.stacks:
            text = f"`policies/terraform.yml` lists no stack {name(stack)} any more."
            issues.say(context.bot, "issues", issue.iid, marker="drift-dropped", body=text)
            issues.close(context.bot, issue.iid)
            dropped.append(issue.iid)
    return dropped


def _rewrite(context: Context, issue: Issue, report: drift.Report, pipeline: Pipeline, body: str) -> None:
    """Say on an issue what has changed, then change it; a crash between the two says it once all the same."""
    event: Literal["close", "reopen"] | None = None
    told = "What differs has changed; the description says how it is now."
    if report.clean:
        told, event = "Nothing differs any more.", "close"
    elif issue.state == "closed":
        told, event = "Something differs that did not when this was closed.", "reopen"
    if not report.clean or issue.state == "opened":
        text = f"{told} Found out by {_link(pipeline)}."
        issues.say(context.bot, "issues", issue.iid, marker=f"drift-note {pipeline.id}", body=text)
    tracking_issue.change(context.bot, issue.iid, description=body, event=event)
    context.say(f"#{issue.iid}: {report.stack}: {told}")


def _known(issue: Issue) -> _IssueMark:
    """Return what an issue's mark says; one that a person has broken says nothing, so it is written anew."""
    match = _MARK.match(issue.description)
    return _IssueMark(match.group(1), int(match.group(2))) if match else _IssueMark("", 0)


def _body(report: drift.Report, pipeline: Pipeline) -> str:
    found = f"{_link(pipeline)} found out at {name(report.commit[:12])}"
    if report.clean:
        return f"The stack `{report.stack}` is as its state says: {found}.\n"
    head = f"The stack `{report.stack}` was changed outside this repository: {found}.\n\n"
    return head + drift_note.render(report.resources) + _RECONCILE.format(stack=report.stack)


def _link(pipeline: Pipeline) -> str:
    return link(f"pipeline {pipeline.id}", pipeline.web_url)
