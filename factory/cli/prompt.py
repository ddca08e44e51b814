"""Asks a person: for a secret value, which is not shown, or for a yes within some time."""

import select
import sys

import click

from factory.errors import AwaitingHuman, InvalidInput, Refused
from factory.model.secret import Secret


def typed(what: str, *, twice: bool = False, only_terminal: bool = False) -> Secret:
    """Return a value from a hidden prompt, or from standard input; raises ``InvalidInput`` if it is empty.

    Removes one newline at the end.
    """
    if sys.stdin.isatty():
        text = str(click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    elif only_terminal:
        raise Refused(f"{what} can only be entered on a terminal, and standard input is not a terminal")
    else:
        try:
            text = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InvalidInput("standard input is not UTF-8 text") from None
    if not text:
        raise InvalidInput("the value is empty", hint="Type it, or pass it on standard input.")
    return Secret(text)


def agreed_within(question: str, seconds: float) -> bool:
    """Ask on the terminal; return whether the answer is yes. Raises ``AwaitingHuman`` if none comes in time."""
    click.echo(f"{question} [y/N]: ", nl=False, err=True)
    # A terminal is readable once a whole line, or the end of input, has been typed.
    if not select.select([sys.stdin], [], [], seconds)[0]:
        click.echo(err=True)
        raise AwaitingHuman("nobody answered before the time was over")
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
