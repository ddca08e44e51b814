"""Asks a person for a secret value, without showing it."""

import sys

import click

from factory.errors import InvalidInput, Refused
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
