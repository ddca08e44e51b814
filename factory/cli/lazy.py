"""Groups whose commands are loaded when one of them is called: what starts often must not load everything."""

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class Commands(click.Group):
    """A group that knows its commands by name, place (``module`` or ``module:attribute``) and one line of help."""

    listed: ClassVar[Mapping[str, tuple[str, str]]] = {}
    unlisted: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def of(cls, listed: Mapping[str, tuple[str, str]], unlisted: Mapping[str, str] | None = None) -> "type[Commands]":
        """Return the class of a group with these commands; those that are ``unlisted`` are in no listing."""
        return type("Commands", (cls,), {"listed": listed, "unlisted": unlisted or {}})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are shown."""
        del ctx
        return list(self.listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; ``None`` where there is none of that name."""
        del ctx
        place = self.listed[cmd_name][0] if cmd_name in self.listed else self.unlisted.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the listing without loading any command."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.listed.items()])
