"""``factory gitlab plan|apply|drift``: compares the project's settings with policies/gitlab.yml, and applies them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial

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
    """Exits with 1 for every error, as ``terraform plan -detailed-exitcode`` does."""

    def invoke(self, ctx: click.Context) -> object:
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
    """Compare the project's settings on GitLab with policies/gitlab.yml, and apply the differences.

    Exit codes: 0 in sync, 2 differences, 1 error.
    """


@command.command()
@output.as_json
def plan(as_json: bool) -> None:
    """Show each field that differs, and each field that this tier does not support with its substitute."""
    server, wanted = opened(current())
    found = settings.plan(server, wanted)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


@command.command()
@output.as_json
def apply(as_json: bool) -> None:
    """Apply the settings of policies/gitlab.yml, read them again, and fail if one still differs.

    Branches and tags stay protected during the changes. After an interruption, run it again to continue.
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
def drift(as_json: bool) -> None:
    """Compare as `plan` does, and open, update or close the one issue that lists the differences."""
    server, wanted = opened(current())
    found = settings.plan(server, wanted)
    context = make(current(), holder="operator", say=output.say)
    settings_drift.tend(context, found)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


command.add_command(runners.command, "runners")


def one_at_a_time(workspace: Workspace) -> AbstractContextManager[None]:
    """Lock the project's settings: two applies at once could remove and add the same rule."""
    return files.locked(workspace.state / "settings.lock")


def opened(workspace: Workspace) -> tuple[Server, dict[str, DesiredSection]]:
    """Return the server as the operator's account sees it, and the desired sections."""
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
    """Return a plan as text lines: differences, unsupported fields, missing and unnamed objects."""
    shown = []
    if found.differences:
        rows = [
            [f"{item.section}: {item.key}", item.field, _short(item.found), _short(item.wanted)]
            for item in found.differences
        ]
        shown += [table(["setting", "field", "current", "desired"], rows), ""]
    shown += _unenforced(found.unenforced)
    if found.absent:
        for maker in dict.fromkeys(item.maker for item in found.absent):
            mine = [(item.section, item.key) for item in found.absent if item.maker == maker]
            shown.append(f"missing, created by {maker}: {_by_section(mine)}")
        shown.append("")
    if found.unmanaged:
        shown += [f"not in policies/gitlab.yml, left alone: {_by_section(found.unmanaged)}", ""]
    differ = len(found.differences)
    equal = found.fields - differ - len(found.unenforced)
    shown.append(f"tier {found.tier}: {equal} of {found.fields} fields are in sync, {differ} differ")
    return shown


def _by_section(found: Sequence[tuple[str, str]]) -> str:
    sections = dict.fromkeys(section for section, _ in found)
    return "; ".join(f"{name}: {', '.join(key for section, key in found if section == name)}" for name in sections)


def _unenforced(found: Sequence[UnsupportedField]) -> list[str]:
    if not found:
        return []
    rows = [[f"{item.section}: {item.key}", item.field, _short(item.wanted), item.substitute] for item in found]
    return [table(["not supported by this tier", "field", "desired", "substitute"], rows), ""]


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if value is None:
        text = "-"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
