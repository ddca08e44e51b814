"""``factory connect URL``: connects the clone to your own project on a GitLab server, with settings and accounts."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import click

from factory import config
from factory.cli import gitlab as gitlab_command
from factory.cli import output
from factory.cli.current import current, open_workspace
from factory.cli.gitlab import service_accounts
from factory.cli.prompt import typed
from factory.errors import Refused, Unauthorized
from factory.evidence.trust import ALONE, APART, SHARED, Separation
from factory.gitlab import accounts
from factory.gitlab import connect as gitlab
from factory.gitlab.accounts import TokenScope
from factory.gitlab.connect import Connection
from factory.gitlab.settings import objects
from factory.gitlab.settings import run as settings
from factory.gitlab.settings.run import Plan
from factory.instance import person_remote, provision
from factory.instance.workspace import AGENT, BOT, OPERATOR, Workspace
from factory.model.secret import Secret
from factory.policies import read
from factory.reports.markdown import count
from factory.secrets import tokens
from factory.system import clock, files

_MAINTAINER = 40
_PATIENCE = 30.0
_WALK = """\
The factory must not approve its own work, so it needs its own account:

1. In a private browser window, sign up at {url} as, for example, {name}. An address like you+factory@… is enough.
2. With that account, open Preferences, Access tokens, and create a token with the scope `api` and an expiry date.
3. Add the account to `agents` in policies/scope.yml, so that the agents' rules apply to it, and merge that into main.
4. Here, run `factory connect {url} --bot` and enter that token. The account becomes a maintainer of {project} only.

Until then you merge and deploy in GitLab yourself, and every report says `separation: none`.
"""


@dataclass(frozen=True)
class _Target:
    """The project to connect, the operator's connection, and the scope of its token."""

    workspace: Workspace
    url: str
    project: str
    operator: Connection
    scope: TokenScope


@click.command()
@click.argument("url")
@click.option(
    "--project", metavar="PATH", help="The project, as group/name (default: your user name and this clone's name)."
)
@click.option("--browser", is_flag=True, help="Open GitLab's form for a new token in your browser, filled in.")
@click.option("--bot", is_flag=True, help="Connect the factory's own account, with its token.")
@click.option("--yes", is_flag=True, help="Do not ask before the project is created or changed.")
@output.as_json
def command(*, url: str, project: str | None, browser: bool, bot: bool, yes: bool, as_json: bool) -> None:
    """Connect this clone to a project on GitLab: check the token, create or adopt the project, apply its settings.

    The token is entered at a hidden prompt, read from standard input, or taken from FACTORY_TOKEN_OPERATOR (with --bot
    FACTORY_TOKEN_FACTORY_BOT), and stored encrypted. The project keeps everything that policies/gitlab.yml does not
    name or enforce. You can run it again at any time. --browser opens the form on which you make the token, and asks
    for it, also if another is kept.
    """
    workspace = current()
    if (workspace.state / "instance.json").exists():
        name = workspace.settings["instance"]
        raise Refused(
            f"the instance {name} is an embedded one", hint="Name another: `factory --instance gitlab connect …`."
        )
    # Two at once would each make what the other is about to make.
    with files.locked(workspace.state / "connect.lock", wait=False):
        _connect(workspace, accounts.address(url), project, browser=browser, bot=bot, yes=yes, as_json=as_json)


def _connect(
    workspace: Workspace, url: str, project: str | None, *, browser: bool, bot: bool, yes: bool, as_json: bool
) -> None:
    if browser:
        click.launch(accounts.token_page(url))
    target, token = _operator(workspace, url, project, fresh=browser and not bot)
    named = {account: workspace.username(account) for account in (BOT, AGENT) if config.connection(workspace.state)}
    named[OPERATOR] = target.scope.username
    exists = _project(target, yes=yes)
    _seal(workspace, OPERATOR, token)
    head, pushed = provision.seed(workspace, target.url, target.project, token.reveal(), say=output.say)
    wants = partial(_wants, yes)
    offered = None if bot else service_accounts.offer(workspace, target.url, target.operator, head, named)
    own: Secret | None = None
    if bot:
        named[BOT], own = _bot(target, head)
        named[AGENT] = named[BOT]
    elif offered:
        named |= service_accounts.take(offered, workspace, target.url, target.operator, agree=wants)
    if pushed:
        output.say(f"main is {head[:12]}, from this clone")
    for account in (BOT, AGENT):
        named.setdefault(account, target.scope.username)
    separation = _separation(named)
    tier = settings.tier(target.operator)
    value = {"gitlab_url": target.url, "project": target.project, "accounts": named}
    value |= {"tier": tier, "separation": separation}
    files.private_folder(workspace.state)
    target, before = _described(target, value)
    workspace = target.workspace
    if pushed:
        _await_groups(target)
    left = _settle(target, yes=yes, own=own, before=before)
    provision.recorder(workspace, target.project, agent=named[AGENT], simulated=False, separation=separation)
    provision.publish_trust(workspace, target.operator)
    remote = person_remote.ensure(workspace)
    following = service_accounts.propose(offered, workspace, target.operator, token.reveal(), agree=wants)
    result = {**value, "made": not exists, "pushed": pushed, "in_sync": left.in_sync, "fields": left.fields}
    result["unenforced"] = [vars(item) for item in left.unenforced]
    result |= {"remote": remote, "next": following}
    text = (
        _summary(target, left, separation, following)
        + f"\n  git: the remote {remote} is the project; `git push {remote} BRANCH`"
    )
    output.one(result, json_wanted=as_json, text=text)


def _operator(workspace: Workspace, url: str, project: str | None, *, fresh: bool) -> tuple[_Target, Secret]:
    """Return the operator's connection and its checked token; if the stored token is rejected, ask for another."""
    token = _token(workspace, OPERATOR, "Your token", fresh=fresh)
    try:
        found = accounts.look(gitlab.connect(url, "", account=OPERATOR, token=token.reveal(), say=output.say))
    except Unauthorized:
        if fresh or workspace.environment.get(tokens.variable(OPERATOR)) or not _sealed(workspace):
            raise
        token = typed("Your token (GitLab rejects the stored one)")
        found = accounts.look(gitlab.connect(url, "", account=OPERATOR, token=token.reveal(), say=output.say))
    known = str(config.connection(workspace.state).get("project") or "")
    path = project or known or f"{found.username}/{workspace.settings.clone.name}"
    operator = gitlab.connect(url, path, account=found.username, token=token.reveal(), say=output.say)
    return _Target(workspace, url, path, operator, found), token


def _project(target: _Target, *, yes: bool) -> bool:
    """Make the project if it is missing; return whether it existed. Raises ``Refused`` for who is not a maintainer."""
    exists = accounts.adopt(target.operator, make=False)
    if not exists:
        _agree(yes, f"Create the private project {target.project} as {target.scope.username}?")
        accounts.adopt(target.operator, make=True)
    if accounts.rank(target.operator, target.scope.number) < _MAINTAINER:
        raise Refused(
            f"{target.scope.username} is not a maintainer of {target.project}", hint="Ask its owner for that role."
        )
    return exists


def _described(target: _Target, value: Mapping[str, object]) -> tuple[_Target, bytes | None]:
    """Write down what this clone is connected to; return it as every later command reads it, and what was written."""
    path = target.workspace.state / config.CONNECTION
    before = files.read_bytes(path) if path.exists() else None
    files.write_atomic(path, json.dumps(value, indent=1).encode())
    return replace(target, workspace=open_workspace(target.workspace.settings["instance"])), before


def _bot(target: _Target, main: str) -> tuple[str, Secret]:
    """Check the token of the factory's own account; return its user name and the token.

    Raises ``Refused`` unless main's policies/scope.yml lists it in ``agents``; otherwise it would count as a person.
    """
    token = _token(target.workspace, BOT, "The token of the factory's own account", fresh=True)
    found = accounts.look(gitlab.connect(target.url, target.project, account=BOT, token=token.reveal(), say=output.say))
    accounts.distinct(target.scope, found)
    bound = read.read(
        provision.mirror(target.workspace, target.url, target.project).tree(main, "policies/")
    ).scope.agents
    if found.username.casefold() not in {name.casefold() for name in bound}:
        raise Refused(
            f"main's policies/scope.yml does not list {found.username} in `agents`, so it would count as a person",
            hint=f"Write `agents: [{', '.join([*bound, found.username])}]` there, merge that, and run it again.",
        )
    return found.username, token


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
    """Wait for the first pipeline's resource groups, which GitLab creates with its jobs shortly after the push."""
    server, wanted = gitlab_command.opened(target.workspace)
    groups = wanted.get(objects.RESOURCE_GROUPS.name)
    deadline = clock.monotonic() + _PATIENCE
    while (
        groups and clock.monotonic() < deadline and not set(groups.state) <= set(objects.RESOURCE_GROUPS.read(server))
    ):
        clock.sleep(0.2)


def _settle(target: _Target, *, yes: bool, own: Secret | None, before: bytes | None) -> Plan:
    """Show what policies/gitlab.yml changes, ask, and apply it; return what still differs.

    The token ``own`` of the factory's account is stored only once the person has agreed to its role in the project. If
    they do not agree, the clone stays connected as it was ``before``.
    """
    server, wanted = gitlab_command.opened(target.workspace)
    planned = settings.plan(server, wanted)
    if not planned.in_sync:
        click.echo(output.visible("\n".join(gitlab_command.lines(planned))), err=True)
        try:
            _agree(yes, f"Change {count(len(planned.differences), 'field')} of {target.project}?")
        except Refused:
            if before is not None:
                files.write_atomic(target.workspace.state / config.CONNECTION, before)
            raise
    if own is not None:
        for account in (BOT, AGENT):
            _seal(target.workspace, account, own)
    if planned.in_sync:
        return planned
    server, wanted = gitlab_command.opened(target.workspace)  # with the tokens that are stored now
    with gitlab_command.one_at_a_time(target.workspace):
        return settings.settle(server, wanted, say=output.say)


def _agree(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            "standard input is not a terminal, so nobody can agree", hint="Check the changes above, then add --yes."
        )
    if not click.confirm(question, err=True):
        raise Refused("you did not agree: nothing was changed", hint="Change policies/gitlab.yml, and run it again.")


def _wants(yes: bool, question: str) -> bool:
    """Return whether the person agrees to what is not necessary; without a terminal, only --yes does."""
    return yes or (sys.stdin.isatty() and click.confirm(question, err=True))


def _separation(named: Mapping[str, str]) -> Separation:
    if named[BOT] == named[OPERATOR]:
        return ALONE
    return SHARED if named[BOT] == named[AGENT] else APART


def _summary(target: _Target, left: Plan, separation: str, following: str) -> str:
    lines = [*gitlab_command.lines(left), f"connected: {target.url}/{target.project} as {target.scope.username}"]
    if target.scope.expires:
        soon = accounts.ending(target.scope.username, target.scope.expires, target.url)
        lines.append(soon or f"the token ends on {target.scope.expires}")
    if separation == ALONE:
        name = f"{target.scope.username}-factory"
        walk = _WALK.format(url=target.url, project=target.project, name=name)
        lines += ["", "separation: none", following or walk]
    return "\n".join(lines)
