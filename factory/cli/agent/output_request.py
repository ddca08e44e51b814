"""``factory output``: how an agent asks for what it may not do itself. It only appends to the file it is given."""

from pathlib import Path
from typing import Any

import click

from factory.agents import outputs
from factory.cli import environment
from factory.errors import Refused

VARIABLE = "FACTORY_OUTPUTS"

_why = click.option("--why", required=True, metavar="LINE", help="Why, in one line.")
_id = click.option("--id", "name", metavar="ID", help="A name, to ask for the same twice.")


def path() -> Path:
    """Return the file that takes requests; raises ``Refused`` outside an agent's sandbox."""
    given = environment.snapshot().get(VARIABLE, "")
    if not given:
        raise Refused(f"{VARIABLE} is not set: this command is for agents at work", hint="Write on GitLab yourself.")
    return Path(given)


@click.group(hidden=True)
def command() -> None:
    """Ask the factory for a write; it is checked against policy and applied after the turn."""


@command.command()
@click.argument("text")
@_why
@_id
def comment(text: str, why: str, name: str | None) -> None:
    """Ask for a comment on the issue."""
    _ask("comment", {"text": text}, why, name)


@command.command()
@click.argument("text")
@_why
@_id
def question(text: str, why: str, name: str | None) -> None:
    """Ask a person, instead of guessing; end your turn afterwards."""
    _ask("question", {"text": text}, why, name)


@command.command()
@click.argument("label")
@_why
@_id
def label(label: str, why: str, name: str | None) -> None:
    """Ask for a label on the issue, one that policy lists."""
    _ask("label", {"label": label}, why, name)


@command.command(name="follow-up")
@click.argument("title")
@click.argument("text")
@_why
@_id
def follow_up(title: str, text: str, why: str, name: str | None) -> None:
    """Ask for a new issue about something that is not part of this one."""
    _ask("follow_up", {"title": title, "text": text}, why, name)


@command.command()
@_why
@_id
def done(why: str, name: str | None) -> None:
    """Say that the work is done, and how one sees that."""
    _ask("done", {}, why, name)


@command.command()
@_why
@_id
def blocked(why: str, name: str | None) -> None:
    """Say that the work can't be done, and what is in its way."""
    _ask("blocked", {}, why, name)


def _ask(kind: str, said: dict[str, Any], why: str, name: str | None) -> None:
    target = path()
    request = outputs.compose(kind, said, why=why, name=name)
    outputs.append(target, request)
    click.echo(f"asked for ({request.id}); the factory checks it after your turn")
