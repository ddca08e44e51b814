"""The part of ``factory connect`` that offers two service accounts of the project's group to the factory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from factory.cli import output
from factory.gitlab.connect import Connection
from factory.gitlab.namespace import service_accounts
from factory.gitlab.namespace.service_accounts import SCOPE, Group
from factory.instance import factory_accounts, provision
from factory.instance.workspace import AGENT, BOT, OPERATOR, Workspace
from factory.operations import agent_accounts
from factory.policies import read
from factory.system import files
from factory.worktrees.repository import Author

# Whether the person agrees to what the question says.
Agree = Callable[[str], bool]


@dataclass(frozen=True)
class Offer:
    """The accounts that the group can have for the factory: names and roles, and those that main does not list."""

    within: Group
    names: Mapping[str, str]
    roles: Mapping[str, str]
    unlisted: tuple[str, ...]


def offer(workspace: Workspace, url: str, operator: Connection, main: str, named: Mapping[str, str]) -> Offer | None:
    """Return the offer, or ``None`` if the person can make no service accounts, or has chosen another account.

    That is one that is connected, or that main's ``agents`` lists already for ``--bot``.
    """
    names = factory_accounts.names(operator.project_path)
    if named.get(BOT, named[OPERATOR]) not in {named[OPERATOR], names[BOT]}:
        return None
    within = service_accounts.group(operator)
    if within is None:
        return None
    policies = read.read(provision.mirror(workspace, url, operator.project_path).tree(main, "policies/"))
    unlisted = agent_accounts.missing(policies.scope.agents, list(names.values()))
    if unlisted and agent_accounts.missing((AGENT, *names.values()), policies.scope.agents):
        return None
    return Offer(within, names, policies.gitlab.members or {}, tuple(unlisted))


def take(offered: Offer, workspace: Workspace, url: str, operator: Connection, *, agree: Agree) -> Mapping[str, str]:
    """Make what is missing of listed accounts if the person agrees; return the accounts that the factory has."""
    if offered.unlisted:
        return {}
    with files.locked(workspace.state / "accounts.lock"):
        due = {account: offered.names[account] for account in factory_accounts.due(workspace, url, offered.names)}
        if due:
            for line in _lines(offered, due):
                output.say(line)
            if not agree(f"Make these in the group {offered.within.path}?"):
                return {}
            factory_accounts.equip(workspace, operator, offered.within, due, say=output.say)
    return offered.names


def _lines(offered: Offer, due: Mapping[str, str]) -> list[str]:
    made = {name: "" if name in offered.within.accounts else "new service account, " for name in due.values()}
    return [
        f"{name}: {made[name]}role {offered.roles.get(account, 'none')} in the project, "
        f"token with the scope {SCOPE} until {factory_accounts.expiry()}"
        for account, name in due.items()
    ]


def propose(offered: Offer | None, workspace: Workspace, operator: Connection, token: str, *, agree: Agree) -> str:
    """Open the merge request that lists the accounts in ``agents`` if the person agrees; return what comes next."""
    if offered is None or not offered.unlisted:
        return ""
    names = " and ".join(offered.unlisted)
    if not agree(f"Open a merge request that adds {names} to `agents` in {agent_accounts.PATH}?"):
        return ""
    mirror = provision.mirror(workspace, workspace.url, operator.project_path)
    mirror.fetch(token)
    author = Author(operator.account, f"{operator.account}@localhost")
    opened = agent_accounts.propose(mirror, operator, token, accounts=offered.unlisted, author=author)
    return (
        f"!{opened.iid} lists {names} as agents' accounts. Merge it, and run `factory connect` again: it makes these "
        "service accounts, so that the factory does not approve its own work."
    )
