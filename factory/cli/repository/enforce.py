"""``factory enforce``: proposes that the gates block what they have only observed so far."""

import click

from factory.cli import output
from factory.cli.current import current
from factory.errors import NotFound
from factory.evidence import transparency_log
from factory.instance import provision
from factory.instance.workspace import OPERATOR
from factory.operations import enforcement
from factory.worktrees import branch_files
from factory.worktrees.repository import Author


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Open a merge request, as you, that ends the mode `observe`, with what that mode has shown."""
    workspace = current()
    mirror = provision.mirror(workspace, workspace.url, workspace.settings["project"])
    token = workspace.token(OPERATOR)
    mirror.fetch(token)
    try:
        entries = transparency_log.read(branch_files.read(mirror, transparency_log.BRANCH).content)
    except NotFound:
        entries = []
    shown = enforcement.figures(entries)
    person = workspace.connection()
    author = Author(person.account, f"{person.account}@localhost")
    opened = enforcement.propose(mirror, person, token, shown=shown, author=author)
    value = {"merge_request": opened.iid, "figures": shown}
    text = "\n".join([f"!{opened.iid} {opened.title}", *(f"  {line}" for line in shown)])
    output.one(value, json_wanted=as_json, text=f"{text}\n  next: factory mr show {opened.iid}")
