"""Reports infrastructure drift as one issue per stack, from the newest scheduled pipeline.

The hidden mark of the issue has the stack, the fingerprint of the differences and the pipeline that detected them. If
the fingerprint has not changed, nothing is written, so an issue that a person closed stays closed until the drift
changes.
"""

import re
from dataclasses import dataclass
from typing import Literal

from factory.errors import InvalidInput
from factory.gitlab import issues, pipelines, tracking_issue
from factory.model.gitlab import Issue, Pipeline
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
_RECONCILE = """
Reconcile the drift in one of two ways. The next scheduled pipeline that finds no drift closes this issue.

* Keep the change: open a merge request that adds it to `terraform/live/{stack}` or its modules. The plan of that merge
  request must not change these resources.
* Undo the change: run `factory infra rollback --to <commit> --reason drift` with the commit of the current release, and
  approve the deployment of the resulting plan.

See `runbooks/drift.md`. If you close this issue by hand, it stays closed until the drift changes.
"""


@dataclass(frozen=True)
class _IssueMark:
    """The last report on an issue: its fingerprint and the pipeline that detected it."""

    fingerprint: str
    pipeline: int


def tend(context: Context, policies: Policies, newest: Pipeline) -> list[int]:
    """Update the drift issues from the newest scheduled pipeline; return the numbers of the issues that were written.

    A file in the instance's state folder names the last pipeline that was read. Without that file the pipeline is read
    again, and nothing is written twice.
    """
    path = context.machine.state / _SEEN
    # A retried job leaves new reports in the same pipeline.
    seen = f"{context.bot.url} {newest.id} {newest.status} {newest.duration}"
    if path.exists() and files.read_text(path) == seen:
        return []
    written = [_settle(context, policies, report, newest) for report in _reports(context, policies, newest)]
    written += _drop(context, policies)
    files.write_atomic(path, seen.encode())
    return [iid for iid in written if iid is not None]


def _reports(context: Context, policies: Policies, pipeline: Pipeline) -> list[drift.Report]:
    """Return the pipeline's report on each stack of the policy; an unreadable report is printed and skipped."""
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
        raise InvalidInput(f"the drift report of {stack} names another stack: {report.stack}")
    return report


def _settle(context: Context, policies: Policies, report: drift.Report, pipeline: Pipeline) -> int | None:
    """Update the issue of one stack if it differs from the report; return its number if it was written."""
    if report.problem:
        context.say(f"drift of {report.stack} is not known: {report.problem}")
        return None
    mark = f"<!-- factory:drift {report.stack} "
    fingerprint = _CLEAN if report.clean else report.fingerprint
    found = tracking_issue.find(context.bot, mark)
    if not found and report.clean:
        return None
    body = f"{mark}{fingerprint} {pipeline.id} -->\n{_body(report, pipeline)}"
    if not found:
        created = tracking_issue.open_once(
            context.bot,
            mark,
            title=f"Drift: {report.stack}",
            description=body,
            labels=[policies.session.labels.drift],
        )
        context.say(f"#{created.iid} reports drift in {report.stack}")
        return created.iid
    issue = found[0]
    known = _known(issue)
    if known.fingerprint == fingerprint or known.pipeline > pipeline.id:
        return None
    _rewrite(context, issue, report, pipeline, body)
    return issue.iid


def _drop(context: Context, policies: Policies) -> list[int]:
    """Close the issues of stacks that the policy no longer lists."""
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
    """Write a note on what has changed, then update the issue; after a crash in between, the note is not repeated."""
    event: Literal["close", "reopen"] | None = None
    text = "The drift has changed. The description shows the current differences."
    if report.clean:
        text, event = "The drift is gone.", "close"
    elif issue.state == "closed":
        text, event = "The drift has changed since this issue was closed.", "reopen"
    if not report.clean or issue.state == "opened":
        note = f"{text} Detected by {_link(pipeline)}."
        issues.say(context.bot, "issues", issue.iid, marker=f"drift-note {pipeline.id}", body=note)
    tracking_issue.change(context.bot, issue.iid, description=body, event=event)
    context.say(f"#{issue.iid}: {report.stack}: {text}")


def _known(issue: Issue) -> _IssueMark:
    """Return the content of an issue's mark; empty if a person has changed the mark, so that it is written again."""
    match = _MARK.match(issue.description)
    return _IssueMark(match.group(1), int(match.group(2))) if match else _IssueMark("", 0)


def _body(report: drift.Report, pipeline: Pipeline) -> str:
    source = f"Detected by {_link(pipeline)} at commit {name(report.commit[:12])}."
    if report.clean:
        return f"The stack `{report.stack}` matches its Terraform state. {source}\n"
    head = f"The stack `{report.stack}` was changed outside this repository. {source}\n\n"
    return head + drift_note.render(report.resources) + _RECONCILE.format(stack=report.stack)


def _link(pipeline: Pipeline) -> str:
    return link(f"pipeline {pipeline.id}", pipeline.web_url)
