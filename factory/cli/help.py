"""``factory help``: the help of any command, and with ``--all`` the list of all commands."""

import click

from factory.cli.lazy import Commands, write_sections


@click.command()
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.option("--all", "every", is_flag=True, help="List every command.")
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...], every: bool) -> None:
    """Show the help of a command: `factory help mr approve`. Without a name, the commands of every day."""
    context = ctx.find_root()
    root = context.command
    if every and isinstance(root, Commands):
        rest = [name for name in root.listed if not any(name in names for names in root.sections.values())]
        formatter = context.make_formatter()
        write_sections(formatter, root.listed, {**root.sections, "More": rest})
        click.echo(formatter.getvalue().strip("\n"))
        return
    names = list(words)
    while names and isinstance(context.command, click.Group):
        name, found, names = context.command.resolve_command(context, names)
        if found is not None:
            context = click.Context(found, info_name=name, parent=context)
    click.echo(context.get_help())
