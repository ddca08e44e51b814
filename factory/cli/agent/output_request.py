"""``factory output``: appends an agent's requests for writes to the file in FACTORY_OUTPUTS."""

from pathlib import Path

import click

from factory.agents import outputs
from factory.cli import environment
from factory.errors import Refused

VARIABLE = "FACTORY_OUTPUTS"

_why = click.option("--why", required=True, metavar="LINE", help="Why, in one line.")
_id = click.option("--id", "name", metavar="ID", help="An id; the same id again is the same request.")


def path() -> Path:
    """Return the file of requests; raises ``Refused`` outside an agent's sandbox."""
    value = environment.snapshot().get(VARIABLE, "")
    if not value:
        raise Refused(
            f"{VARIABLE} is not set: only an agent in its sandbox can use this command",
            hint="Write in GitLab yourself.",
        )
    return Path(value)


@click.group(hidden=True)
def command() -> None:
    """Request a write; the factory checks it against policy and applies it after the turn."""


@command.command()
@click.argument("text")
@_why
@_id
def comment(text: str, why: str, name: str | None) -> None:
    """Request a comment on the issue."""
    _ask("comment", {"text": text}, why, name)


@command.command()
@click.argument("text")
@_why
@_id
def question(text: str, why: str, name: str | None) -> None:
    """Ask a person a question instead of guessing; end your turn afterwards."""
    _ask("question", {"text": text}, why, name)


@command.command()
@click.argument("label")
@_why
@_id
def label(label: str, why: str, name: str | None) -> None:
    """Request a label on the issue; policy lists the allowed ones."""
    _ask("label", {"label": label}, why, name)


@command.command(name="follow-up")
@click.argument("title")
@click.argument("text")
@_why
@_id
def follow_up(title: str, text: str, why: str, name: str | None) -> None:
    """Request a new issue about something that is not part of this one."""
    _ask("follow_up", {"title": title, "text": text}, why, name)


@command.command()
@_why
@_id
def done(why: str, name: str | None) -> None:
    """Report that the work is done, and how to check that."""
    _ask("done", {}, why, name)


@command.command()
@_why
@_id
def blocked(why: str, name: str | None) -> None:
    """Report that the work can't be done, and what blocks it."""
    _ask("blocked", {}, why, name)


def _ask(kind: str, fields: dict[str, object], why: str, name: str | None) -> None:
    target = path()
    request = outputs.compose(kind, fields, why=why, name=name)
    outputs.append(target, request)
    click.echo(f"requested ({request.id}); the factory checks it after your turn")
