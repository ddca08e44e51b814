"""``factory mr``: open, list, show, approve and merge merge requests."""

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.cli.mr import trial
from factory.errors import Refused
from factory.evidence.trust import ALONE
from factory.gitlab import issues, merge_requests, pipelines
from factory.instance import person_remote
from factory.instance.context import own_trust
from factory.operations import proposal
from factory.reports import terminal
from factory.status import failed_jobs
from factory.status.merge_status import merge_status
from factory.workflow.release.review import REVIEW_MARK

_MERGE = "The factory works with your account, so it counts no approval: `factory mr merge {}` merges it as you."


@click.group()
def command() -> None:
    """Open, list, show, try, approve and merge merge requests."""


command.add_command(trial.command)


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Include merged and closed ones.")
@output.as_json
def list_(everything: bool, as_json: bool) -> None:
    """List merge requests, oldest first."""
    connection = current().connection()
    found = [
        {**vars(item), "merge_status": merge_status(connection, item)}
        for item in merge_requests.find(connection, state="all" if everything else "opened")
    ]
    columns = ("iid", "state", "merge_status", "labels", "title")
    output.rows(found, columns, json_wanted=as_json, empty="no merge requests")


@command.command()
@click.option("--title", default="", help="The title (default: the first commit's subject).")
@click.option("--draft", is_flag=True, help="Open it as a draft.")
@output.as_json
def new(title: str, draft: bool, as_json: bool) -> None:
    """Push your branch and open its merge request as you; `factory propose` runs the local gates first."""
    workspace = current()
    clone, remote = person_remote.clone_of(workspace), person_remote.remote(workspace)
    branch, ahead = clone.branch(), clone.ahead(remote)
    found = proposal.open_own(
        clone, workspace.connection(), remote=remote, branch=branch, ahead=ahead, title=title, draft=draft
    )
    output.one(found, json_wanted=as_json, text=f"{proposal.size(ahead)} · !{found.iid} {found.title}")


@command.command()
@click.argument("merge_request")
@output.as_json
def checkout(merge_request: str, as_json: bool) -> None:
    """Check out a merge request's branch in this clone."""
    workspace = current()
    found = merge_requests.get(workspace.connection(), number(merge_request, "!"))
    if found.fork:
        raise Refused(f"the branch of !{found.iid} is in another project", hint="Fetch it from there with git.")
    person_remote.clone_of(workspace).checkout(person_remote.remote(workspace), found.source_branch)
    value = {"merge_request": found.iid, "branch": found.source_branch, "head": found.sha}
    output.one(value, json_wanted=as_json, text=f"!{found.iid} is checked out as {found.source_branch}")


@command.command(name="open")
@click.argument("merge_request")
@output.as_json
def open_(merge_request: str, as_json: bool) -> None:
    """Open a merge request's page in your browser."""
    workspace = current()
    found = merge_requests.get(workspace.connection(), number(merge_request, "!"))
    if workspace.settings.embedded:
        raise Refused("the loopback GitLab has no pages", hint=f"See `factory mr show {found.iid}`.")
    click.launch(found.web_url)
    output.one({"merge_request": found.iid, "url": found.web_url}, json_wanted=as_json, text=found.web_url)


@command.command()
@click.argument("merge_request")
@output.as_json
def show(merge_request: str, as_json: bool) -> None:
    """Show one merge request: its state, head, pipelines, failed jobs and gates, approvals and notes."""
    connection = current().connection()
    found = merge_requests.get(connection, number(merge_request, "!"))
    approvals = merge_requests.approvals(connection, found.iid)
    runs = pipelines.of_merge_request(connection, found.iid)
    notes = issues.notes(connection, "merge_requests", found.iid)
    lines = [
        f"!{found.iid} {found.title}",
        f"{found.state}  {merge_status(connection, found)}  head {found.sha[:12]}  by {found.author}",
        "pipelines: " + (", ".join(f"{run.id} {run.status}" for run in runs) or "none"),
        *(failed_jobs.lines(connection, runs[0].id) if runs else []),
        "approved by: " + (", ".join(item.username for item in approvals) or "nobody"),
        "",
        terminal.plain(found.description),
        *(f"\n{note.author}: {terminal.plain(note.body)}" for note in notes),
    ]
    output.one(found, json_wanted=as_json, text="\n".join(lines))


@command.command()
@click.argument("merge_request")
@output.as_json
def diff(merge_request: str, as_json: bool) -> None:
    """Show what a merge request changes."""
    found = merge_requests.changes(current().connection(), number(merge_request, "!"))
    text = "\n".join(f"--- {item.old_path}\n+++ {item.new_path}\n{item.diff}" for item in found)
    output.one([vars(item) for item in found], json_wanted=as_json, text=text)


@command.command()
@click.argument("merge_request")
@output.as_json
def approve(merge_request: str, as_json: bool) -> None:
    """Approve a merge request at its current head, as yourself."""
    connection, alone = current().connection(), own_trust(current()).separation == ALONE
    found = merge_requests.get(connection, number(merge_request, "!"))
    mark = f"<!-- factory:{REVIEW_MARK} -->"
    notes = issues.notes(connection, "merge_requests", found.iid)
    shown = max((note.updated_at for note in notes if note.body.startswith(mark)), default="")
    if not shown and found.state == "opened":
        raise Refused(
            f"!{found.iid} has no review note yet, which says what an approval names",
            hint="Let its pipeline pass, and run `factory work --once`, which writes the note.",
        )
    # An approval from before the review note does not count, and may be given again.
    given = merge_requests.approvals(connection, found.iid)
    approvers = [item.username for item in given if not item.at or item.at >= shown]
    if found.state != "opened":
        raise Refused(f"!{found.iid} is {found.state}", hint="Only an open merge request can be approved.")
    if connection.account in approvers:
        raise Refused(
            f"{connection.account} already approved !{found.iid}",
            hint=_MERGE.format(found.iid) if alone else "Continue with `factory work --once`.",
        )
    merge_requests.approve(connection, found.iid, sha=found.sha)
    output.one(
        {"merge_request": found.iid, "sha": found.sha, "by": connection.account},
        json_wanted=as_json,
        text=f"!{found.iid} is approved at {found.sha[:12]} by {connection.account}"
        + (f"\n  next: {_MERGE.format(found.iid)}" if alone else ""),
    )


@command.command()
@click.argument("merge_request")
@output.as_json
def merge(merge_request: str, as_json: bool) -> None:
    """Merge a merge request yourself; otherwise `factory work` merges it once it is approved."""
    connection = current().connection()
    found = merge_requests.get(connection, number(merge_request, "!"))
    if found.state != "opened":
        raise Refused(f"!{found.iid} is {found.state}", hint="Only an open merge request can be merged.")
    try:
        done = merge_requests.merge(connection, found.iid, sha=found.sha)
    except Refused as error:
        why = merge_status(connection, merge_requests.get(connection, found.iid))
        raise Refused(f"{error} ({why})", hint=f"See `factory mr show {found.iid}`.") from error
    output.one(done, json_wanted=as_json, text=f"!{done.iid} is {done.state} at {done.sha[:12]}")
