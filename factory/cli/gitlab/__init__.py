"""``factory gitlab plan|apply|drift``: the project's settings as policies/gitlab.yml wants them, field by field."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any

import click

from factory.cli import output, tell
from factory.cli.current import current
from factory.cli.gitlab import runners
from factory.errors import FactoryError, Refused, Unauthorized
from factory.gitlab.connect import version
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.model import Server, UnsupportedField
from factory.gitlab.settings.run import DesiredSection
from factory.instance.context import make
from factory.instance.workspace import AGENT, BOT, OPERATOR, Workspace
from factory.policies.folder import read_folder
from factory.reports.tables import table
from factory.secrets import tokens
from factory.system import files
from factory.workflow.drift import desired_settings as wanted_settings
from factory.workflow.drift import settings as settings_drift

DIFFERS, FAILED = 2, 1
_WIDEST = 60


class _Group(click.Group):
    """Ends with 1 for every error: these commands tell a program by 0, 1 and 2, as ``terraform plan`` does."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FactoryError as error:
            if ctx.find_root().obj.get("debug"):
                raise
            tell(error)
        except click.UsageError as error:
            error.show()
        raise click.exceptions.Exit(FAILED)


@click.group(cls=_Group)
def command() -> None:
    """Compare the project on GitLab with policies/gitlab.yml, and make it so.

    Exit codes: 0 in sync, 2 something differs, 1 error.
    """


@command.command()
@output.as_json
def plan(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Show each field: what is, what shall be, and what this tier can't hold with what stands in for it."""
    server, wanted = opened(current())
    found = settings.plan(server, wanted)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


@command.command()
@output.as_json
def apply(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Make the project what policies/gitlab.yml wants, then read it again: nothing may differ.

    Interrupted or refused half-way, call it again: it goes on. Nothing is unprotected while it changes.
    """
    workspace = current()
    with one_at_a_time(workspace):
        server, wanted = opened(workspace)
        left = settings.apply(server, wanted, say=output.say)
    _show(left, as_json=as_json)
    if not left.in_sync:
        first = left.differences[0]
        raise Refused(f"GitLab did not keep {first.section}: {first.key}: {first.field}")


@command.command()
@output.as_json
def drift(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Compare as `plan` does, and keep one issue of what differs: opened, changed in place, closed."""
    server, wanted = opened(current())
    found = settings.plan(server, wanted)
    context = make(current(), holder="operator", say=output.say)
    settings_drift.tend(context, found)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


command.add_command(runners.command, "runners")


def one_at_a_time(workspace: Workspace) -> AbstractContextManager[None]:
    """Hold the project's settings: a second apply would take a rule away while the first puts it back."""
    return files.locked(workspace.state / "settings.lock")


def opened(workspace: Workspace) -> tuple[Server, dict[str, DesiredSection]]:
    """Return the server as the operator sees it, and what is wanted of it."""
    policies = read_folder(workspace.settings.clone)
    names = {account: workspace.username(account) for account in (OPERATOR, BOT, AGENT)}
    acting = {}
    for account, username in names.items():
        with suppress(Unauthorized):
            acting[username] = workspace.connection(account)
    connection = workspace.connection()
    simulator = version(connection).endswith("-local")
    wanted = wanted_settings.wanted(
        policies,
        project=workspace.settings["project"],
        accounts=names,
        rehearsal=simulator and workspace.settings.embedded,
    )
    return settings.opened(
        connection, acting=acting, hook_token=partial(tokens.webhook, workspace.token_folder)
    ), wanted


def _show(found: settings.Plan, *, as_json: bool) -> None:
    value = {
        "tier": found.tier,
        "in_sync": found.in_sync,
        "fields": found.fields,
        "differences": [item.to_json() for item in found.differences],
        "unenforced": [vars(item) for item in found.unenforced],
        "absent": [vars(item) for item in found.absent],
        "unmanaged": [f"{section}: {key}" for section, key in found.unmanaged],
    }
    output.one(value, json_wanted=as_json, text="\n".join(lines(found)))


def lines(found: settings.Plan) -> list[str]:
    """Return a plan as lines for a person: what differs, what the tier can't hold, what is left alone."""
    shown = []
    if found.differences:
        rows = [
            [f"{item.section}: {item.key}", item.field, _short(item.found), _short(item.wanted)]
            for item in found.differences
        ]
        shown += [table(["setting", "field", "is", "shall be"], rows), ""]
    shown += _unenforced(found.unenforced)
    if found.absent:
        for maker in dict.fromkeys(item.maker for item in found.absent):
            mine = [(item.section, item.key) for item in found.absent if item.maker == maker]
            shown.append(f"not there yet, made by {maker}: {_by_section(mine)}")
        shown.append("")
    if found.unmanaged:
        shown += [f"not named in policies/gitlab.yml, and left: {_by_section(found.unmanaged)}", ""]
    differ = len(found.differences)
    kept = found.fields - differ - len(found.unenforced)
    shown.append(f"tier {found.tier}: {kept} of {found.fields} fields are as they shall be, {differ} differ")
    return shown


def _by_section(found: Sequence[tuple[str, str]]) -> str:
    sections = dict.fromkeys(section for section, _ in found)
    return "; ".join(f"{name}: {', '.join(key for section, key in found if section == name)}" for name in sections)


def _unenforced(found: Sequence[UnsupportedField]) -> list[str]:
    if not found:
        return []
    rows = [[f"{item.section}: {item.key}", item.field, _short(item.wanted), item.substitute] for item in found]
    return [table(["this tier can't hold", "field", "wanted", "what stands in for it"], rows), ""]


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if value is None:
        text = "-"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
