"""Checks that a command which a text names exists."""

import re

import click

from factory.cli import root

CONTEXT = click.Context(root)


def assert_exists(line: str) -> None:
    """Assert that what follows ``factory`` is a command with these options, and an argument only if it takes one."""
    name, *words = re.split(r"[\s,]+", line)
    command = root.get_command(CONTEXT, name)
    assert command is not None, line
    while isinstance(command, click.Group) and words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        command = command.get_command(CONTEXT, words.pop(0))
        assert command is not None, line
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line
    takes = [item.nargs for item in command.params if isinstance(item, click.Argument)]
    if not takes and not isinstance(command, click.Group):
        assert not words or not re.fullmatch(r"[a-z]+|[0-9]+", words[0]), f"{line}: it takes no argument"
