"""Asks a person for a value that is never shown."""

import sys

import click

from factory.errors import InvalidInput, Refused
from factory.model.secret import Secret


def typed(what: str, *, twice: bool = False, only_terminal: bool = False) -> Secret:
    """Return what a person types unseen, or what standard input holds; raises ``InvalidInput`` where that is nothing.

    One line's end is not part of it.
    """
    if sys.stdin.isatty():
        text = str(click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
    elif only_terminal:
        raise Refused(f"{what} is asked for on a terminal, and there is none")
    else:
        try:
            text = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InvalidInput("standard input is not UTF-8 text") from None
    if not text:
        raise InvalidInput("the value is empty", hint="Type it, or give it on standard input.")
    return Secret(text)
