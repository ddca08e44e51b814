"""Groups that load a command only when it is called, so that commands which start often load nothing else."""

import importlib
from collections.abc import Mapping, Sequence
from typing import ClassVar

import click

Sections = Mapping[str, Sequence[str]]


class Commands(click.Group):
    """A group that knows each command by name, place (``module`` or ``module:attribute``) and one line of help.

    ``sections`` are headings with the names below them; without sections all commands are listed under one heading.
    """

    listed: ClassVar[Mapping[str, tuple[str, str]]] = {}
    unlisted: ClassVar[Mapping[str, str]] = {}
    sections: ClassVar[Sections] = {}

    @classmethod
    def of(
        cls,
        listed: Mapping[str, tuple[str, str]],
        unlisted: Mapping[str, str] | None = None,
        sections: Sections | None = None,
    ) -> "type[Commands]":
        """Return the class of a group with these commands; those that are ``unlisted`` appear in no help text."""
        values = {"listed": listed, "unlisted": unlisted or {}, "sections": sections or {}}
        return type("Commands", (cls,), values)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are shown."""
        del ctx
        return list(self.listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; returns ``None`` for an unknown name."""
        del ctx
        place = self.listed[cmd_name][0] if cmd_name in self.listed else self.unlisted.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, and suggest names that it has not loaded."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=list(self.listed), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections without loading any command."""
        del ctx
        write_sections(formatter, self.listed, self.sections or {"Commands": list(self.listed)})


def write_sections(formatter: click.HelpFormatter, listed: Mapping[str, tuple[str, str]], sections: Sections) -> None:
    """Write headings with the commands below them, each with its line of help."""
    width = max(len(name) for names in sections.values() for name in names)
    for heading, names in sections.items():
        with formatter.section(heading):
            formatter.write_dl([(name.ljust(width), listed[name][1]) for name in names])
