"""``factory issue``: opens, lists and shows issues, answers agents' questions, and offers blocked issues again."""

from dataclasses import asdict

import click

from factory.cli import output
from factory.cli.current import current, number
from factory.errors import Refused
from factory.gitlab import issues, merge_requests
from factory.model.session import branches_of
from factory.operations.collect.specs import repository
from factory.policies.folder import read_folder
from factory.reports import terminal


@click.group()
def command() -> None:
    """Open, list, show and retry issues."""


@command.command()
@click.argument("title")
@click.option("--spec", help="The id of the issue's spec; adds the line `Spec: <id>`.")
@click.option("--text", default="", help="The description.")
@click.option("--small", is_flag=True, help="The issue needs no spec; its text lists what must be true afterwards.")
@click.option("--ready/--draft", default=True, help="Offer the issue to the factory now (label factory::ready).")
@output.as_json
def new(title: str, spec: str | None, text: str, small: bool, ready: bool, as_json: bool) -> None:
    """Open an issue."""
    description = "\n\n".join(part for part in (text, f"Spec: {spec}" if spec else "") if part)
    named = read_folder(repository()).session.labels
    labels = [label for label, wanted in ((named.ready, ready), (named.small, small)) if wanted]
    created = issues.create(current().connection(), title=title, description=description, labels=labels)
    output.one(created, json_wanted=as_json, text=f"#{created.iid} {created.title}")


@command.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Include closed ones.")
@output.as_json
def list_(everything: bool, as_json: bool) -> None:
    """List issues, oldest first."""
    found = issues.find(current().connection(), state="all" if everything else "opened")
    output.rows(found, ("iid", "state", "labels", "title"), json_wanted=as_json, empty="no issues")


@command.command()
@click.argument("issue")
@output.as_json
def show(issue: str, as_json: bool) -> None:
    """Show one issue and the notes on it."""
    connection = current().connection()
    found = issues.get(connection, number(issue, "#"))
    notes = issues.notes(connection, "issues", found.iid)
    lines = [f"#{found.iid} {found.title}", f"{found.state}  {', '.join(found.labels)}  by {found.author}", ""]
    lines += [terminal.plain(found.description)]
    lines += [f"\n{note.author}: {terminal.plain(note.body)}" for note in notes]
    shown = {**asdict(found), "notes": [asdict(note) for note in notes]}
    output.one(shown, json_wanted=as_json, text="\n".join(lines))


@command.command()
@click.argument("issue")
@click.argument("text")
@output.as_json
def answer(issue: str, text: str, as_json: bool) -> None:
    """Answer an agent's question; the factory then proposes the answer as a change of the spec."""
    from factory.workflow.claim import questions  # noqa: PLC0415 - start-up speed: the other commands need no workflow

    connection = current().connection()
    found = issues.get(connection, number(issue, "#"))
    if found.state != "opened":
        raise Refused(f"#{found.iid} is {found.state}", hint="Only a question on an open issue can be answered.")
    if not questions.has_question(issues.notes(connection, "issues", found.iid)):
        raise Refused(
            f"no agent asked a question on #{found.iid}",
            hint="Write what is missing into the spec, or comment on the issue on GitLab.",
        )
    issues.comment(connection, "issues", found.iid, body=f"Answer: {text}")
    message = f"answered on #{found.iid}; `factory work` proposes it as a change of the spec"
    output.one({"issue": found.iid, "answer": text}, json_wanted=as_json, text=message)


@command.command()
@click.argument("issue")
@output.as_json
def retry(issue: str, as_json: bool) -> None:
    """Offer a blocked issue to the factory again: a new session begins, and the last one's merge request is closed."""
    connection, labels = current().connection(), read_folder(repository()).session.labels
    found = issues.get(connection, number(issue, "#"))
    if found.state != "opened" or labels.blocked not in found.labels:
        raise Refused(f"#{found.iid} is not blocked", hint=f"See its state: `factory issue show {found.iid}`.")
    opened = [item for item in merge_requests.find(connection) if item.source_branch.startswith(branches_of(found.iid))]
    for item in opened:
        body = f"Closed: #{found.iid} is offered again, and a new session begins."
        issues.comment(connection, "merge_requests", item.iid, body=body)
        merge_requests.close(connection, item.iid)
    issues.relabel(connection, found.iid, add=[labels.ready], remove=[labels.blocked])
    closed = [item.iid for item in opened]
    message = "".join(f"!{iid} is closed\n" for iid in closed)
    message += f"#{found.iid} is offered again; `factory work` begins a new session"
    output.one({"issue": found.iid, "closed": closed}, json_wanted=as_json, text=message)
