"""``factory gitlab plan|apply|drift``: the project's settings as policies/gitlab.yml wants them, field by field."""

from collections.abc import Sequence
from typing import Any

import click

from factory.cli import output, tell
from factory.cli.factory_context import make
from factory.cli.workplace import BOT, OPERATOR, current
from factory.errors import FactoryError, Refused
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.model import Unenforced
from factory.policies import read as policy_files
from factory.reports.tables import table
from factory.workflow import settings as wanted_settings
from factory.workflow import settings_drift

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
    server, wanted = _opened()
    found = settings.plan(server, wanted)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


@command.command()
@output.as_json
def apply(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Make the project what policies/gitlab.yml wants, then read it again: nothing may differ.

    Interrupted or refused half-way, call it again: it goes on. Nothing is unprotected while it changes.
    """
    server, wanted = _opened()
    left = settings.apply(server, wanted, say=output.say)
    _show(left, as_json=as_json)
    if not left.in_sync:
        first = left.differences[0]
        raise Refused(f"GitLab did not keep {first.section}: {first.key}: {first.field}")


@command.command()
@output.as_json
def drift(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Compare as `plan` does, and keep one issue of what differs: opened, changed in place, closed."""
    server, wanted = _opened()
    found = settings.plan(server, wanted)
    context = make(current(), holder="operator", say=output.say)
    settings_drift.tend(context, found)
    _show(found, as_json=as_json)
    raise click.exceptions.Exit(0 if found.in_sync else DIFFERS)


def _opened() -> tuple[Any, Any]:
    """Return the server as the operator sees it, and what is wanted of it."""
    place = current()
    folder = place.settings.clone / "policies"
    policies = policy_files.read({f"policies/{path.name}": path.read_bytes() for path in folder.glob("*.yml")})
    others = {}
    for account in (OPERATOR, BOT):
        try:
            others[account] = place.connection(account)
        except FactoryError:
            continue
    server = settings.opened(place.connection(), acting=others)
    return server, wanted_settings.wanted(policies, project=place.settings["project"])


def _show(found: settings.Plan, *, as_json: bool) -> None:
    value = {
        "tier": found.tier,
        "in_sync": found.in_sync,
        "fields": found.fields,
        "differences": [item.to_json() for item in found.differences],
        "unenforced": [vars(item) for item in found.unenforced],
        "unmanaged": list(found.unmanaged),
    }
    output.one(value, json_wanted=as_json, text="\n".join(_lines(found)))


def _lines(found: settings.Plan) -> list[str]:
    lines = []
    if found.differences:
        rows = [
            [f"{item.section}: {item.key}", item.field, _short(item.found), _short(item.wanted)]
            for item in found.differences
        ]
        lines += [table(["setting", "field", "is", "shall be"], rows), ""]
    lines += _unenforced(found.unenforced)
    if found.unmanaged:
        lines += [f"not named in policies/gitlab.yml, and left: {', '.join(found.unmanaged)}", ""]
    differ = len(found.differences)
    kept = found.fields - differ - len(found.unenforced)
    lines.append(f"tier {found.tier}: {kept} of {found.fields} fields are as they shall be, {differ} differ")
    return lines


def _unenforced(found: Sequence[Unenforced]) -> list[str]:
    if not found:
        return []
    rows = [[f"{item.section}: {item.key}", item.field, _short(item.wanted), item.substitute] for item in found]
    return [table(["this tier can't hold", "field", "wanted", "what stands in for it"], rows), ""]


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if value is None:
        text = "-"
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
