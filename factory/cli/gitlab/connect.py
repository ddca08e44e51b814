"""``factory connect URL``: from nothing to a project of one's own on a real GitLab, settings and accounts included."""

import json
import sys
from dataclasses import dataclass, replace

import click

from factory import config
from factory.cli import gitlab as gitlab_command
from factory.cli import output
from factory.cli.current import current, open_workspace
from factory.cli.prompt import typed
from factory.errors import Refused, Unauthorized
from factory.evidence.trust import ALONE, SHARED
from factory.gitlab import connect as gitlab
from factory.gitlab import token_scope
from factory.gitlab.connect import Connection
from factory.gitlab.settings import objects
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.run import Plan
from factory.gitlab.token_scope import TokenScope
from factory.instance import provision
from factory.instance.workspace import AGENT, BOT, OPERATOR, Workspace
from factory.model.secret import Secret
from factory.policies import read
from factory.secrets import tokens
from factory.system import clock, files

_MAINTAINER = 40
_PATIENCE = 30.0
_WALK = """\
The factory must not approve its own work: it needs an account of its own, and only that holds what it may do.

1. In a private window, sign up at {url} as, for example, {name}. An address like you+factory@… is enough.
2. As that account: Preferences, Access tokens, a token with the scope `api` and a last day.
3. Name it in policies/scope.yml among `agents`, so that their rules bind it, and bring that to main.
4. Here: `factory connect {url} --bot`, and give that token. It is made a maintainer of {project}, and nothing else.

Until then merging and deploying are your own clicks, and every report says `separation: none`.
"""


@dataclass(frozen=True)
class _Target:
    """What is connected: the project, the operator's connection, and what its token reaches."""

    workspace: Workspace
    url: str
    project: str
    operator: Connection
    scope: TokenScope


@click.command()
@click.argument("url")
@click.option("--project", metavar="PATH", help="The project, as group/name (default: yours, named as this clone).")
@click.option("--bot", is_flag=True, help="Give the token of the factory's own account.")
@click.option("--yes", is_flag=True, help="Do not ask before the project is made or changed.")
@output.as_json
def command(url: str, project: str | None, bot: bool, yes: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Connect this clone to a project on GitLab: check the token, make or adopt the project, set it up, read it back.

    The token is typed unseen, read from standard input, or FACTORY_TOKEN_OPERATOR (with --bot
    FACTORY_TOKEN_FACTORY_BOT); it is kept encrypted. What the project has already stays, but for what
    policies/gitlab.yml enforces. Call it again at any time.
    """
    workspace = current()
    if (workspace.state / "instance.json").exists():
        name = workspace.settings["instance"]
        raise Refused(
            f"the instance {name} is the embedded one", hint="Name another: `factory --instance gitlab connect …`."
        )
    target, token = _operator(workspace, token_scope.address(url), project)
    accounts = {account: workspace.username(account) for account in (BOT, AGENT) if config.connection(workspace.state)}
    accounts[OPERATOR] = target.scope.username
    there = token_scope.adopt(target.operator, make=False)
    if not there:
        _agree(yes, f"Make the private project {target.project} as {target.scope.username}?")
        token_scope.adopt(target.operator, make=True)
    if token_scope.rank(target.operator, target.scope.number) < _MAINTAINER:
        raise Refused(f"{target.scope.username} is no maintainer of {target.project}", hint="Ask its owner for that.")
    _seal(workspace, OPERATOR, token)
    head, pushed = provision.seed(workspace, target.url, target.project, token.reveal(), say=output.say)
    if bot:
        accounts[BOT] = accounts[AGENT] = _bot(target, head)
    if pushed:
        output.say(f"main is {head[:12]}, from this clone")
    for account in (BOT, AGENT):
        accounts.setdefault(account, target.scope.username)
    separation = SHARED if accounts[BOT] != target.scope.username else ALONE
    tier = settings.tier(target.operator)
    value = {"gitlab_url": target.url, "project": target.project, "accounts": accounts}
    value |= {"tier": tier, "separation": separation}
    files.private_folder(workspace.state)
    files.write_atomic(workspace.state / config.CONNECTION, json.dumps(value, indent=1).encode())
    # What was written is read as every later command reads it.
    workspace = open_workspace(workspace.settings["instance"])
    target = replace(target, workspace=workspace)
    if pushed:
        _await_groups(target)
    left = _settle(target, yes=yes)
    provision.recorder(workspace, target.project, agent=accounts[AGENT], simulated=False, separation=separation)
    made = {**value, "made": not there, "pushed": pushed, "in_sync": left.in_sync, "fields": left.fields}
    made["unenforced"] = [vars(item) for item in left.unenforced]
    text = _told(target, left, separation)
    output.one(made, json_wanted=as_json, text=text)


def _operator(workspace: Workspace, url: str, project: str | None) -> tuple[_Target, Secret]:
    """Return the operator's connection and its token, which was checked; one that ended is asked for anew."""
    token = _token(workspace, OPERATOR, "Your token")
    try:
        found = token_scope.look(gitlab.connect(url, "", account=OPERATOR, token=token.reveal(), say=output.say))
    except Unauthorized:
        if workspace.environment.get(tokens.variable(OPERATOR)) or not _sealed(workspace):
            raise
        token = typed("Your token (the one that was kept is not taken any more)")
        found = token_scope.look(gitlab.connect(url, "", account=OPERATOR, token=token.reveal(), say=output.say))
    known = str(config.connection(workspace.state).get("project") or "")
    path = project or known or f"{found.username}/{workspace.settings.clone.name}"
    operator = gitlab.connect(url, path, account=found.username, token=token.reveal(), say=output.say)
    return _Target(workspace, url, path, operator, found), token


def _bot(target: _Target, main: str) -> str:
    """Return the factory's own account, which main's policies bind, its token checked and sealed.

    Raises ``Refused`` where main's policies/scope.yml does not name it: nothing would tell its changes from a person's.
    """
    token = _token(target.workspace, BOT, "The token of the factory's own account", fresh=True)
    found = token_scope.look(
        gitlab.connect(target.url, target.project, account=BOT, token=token.reveal(), say=output.say)
    )
    token_scope.distinct(target.scope, found)
    bound = read.read(
        provision.mirror(target.workspace, target.url, target.project).tree(main, "policies/")
    ).scope.agents
    if found.username.casefold() not in {name.casefold() for name in bound}:
        raise Refused(
            f"main's policies/scope.yml does not name {found.username} among `agents`, so it would pass for a person",
            hint=f"Write `agents: [{', '.join([*bound, found.username])}]` there, merge that, and call it again.",
        )
    for account in (BOT, AGENT):
        _seal(target.workspace, account, token)
    return found.username


def _token(workspace: Workspace, account: str, what: str, *, fresh: bool = False) -> Secret:
    """Return a token: the environment's, one that is kept here already, or what is typed."""
    given = workspace.environment.get(tokens.variable(account))
    if given:
        return Secret(given)
    return Secret(workspace.token(account)) if _sealed(workspace) and not fresh else typed(what)


def _sealed(workspace: Workspace) -> bool:
    return tokens.sealed(workspace.token_folder).exists()


def _seal(workspace: Workspace, account: str, token: Secret) -> None:
    tokens.seal(workspace.token_folder, account, token, key=workspace.key_file)


def _await_groups(target: _Target) -> None:
    """Wait for the first pipeline's resource groups: GitLab makes them with its jobs, some moments after the push."""
    server, wanted = gitlab_command.opened(target.workspace)
    groups = wanted.get(objects.RESOURCE_GROUPS.name)
    deadline = clock.monotonic() + _PATIENCE
    while (
        groups and clock.monotonic() < deadline and not set(groups.state) <= set(objects.RESOURCE_GROUPS.read(server))
    ):
        clock.sleep(0.2)


def _settle(target: _Target, *, yes: bool) -> Plan:
    """Show what policies/gitlab.yml changes, and change it; return what differs afterwards."""
    server, wanted = gitlab_command.opened(target.workspace)
    planned = settings.plan(server, wanted)
    if planned.in_sync:
        return planned
    click.echo(output.visible("\n".join(gitlab_command.lines(planned))), err=True)
    _agree(yes, f"Change {len(planned.differences)} fields of {target.project}?")
    with gitlab_command.one_at_a_time(target.workspace):
        return settings.settle(server, wanted, say=output.say)


def _agree(yes: bool, question: str) -> None:  # noqa: FBT001 - it is the answer
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody is there to agree", hint="Look at what is shown, then add --yes.")
    if not click.confirm(question, err=True):
        raise Refused("nothing was changed", hint="Change policies/gitlab.yml to what you want, and call it again.")


def _told(target: _Target, left: Plan, separation: str) -> str:
    lines = [*gitlab_command.lines(left), f"connected: {target.url}/{target.project} as {target.scope.username}"]
    if target.scope.expires:
        lines.append(f"the token ends on {target.scope.expires}")
    if separation == ALONE:
        name = f"{target.scope.username}-factory"
        lines += ["", "separation: none", _WALK.format(url=target.url, project=target.project, name=name)]
    return "\n".join(lines)
