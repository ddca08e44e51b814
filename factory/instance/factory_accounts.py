"""The factory's two service accounts on a connected project: their names, and the tokens that are kept of them."""

from collections.abc import Callable, Mapping
from datetime import date

from factory.errors import Conflict, InvalidInput, Refused, Unauthorized
from factory.gitlab import accounts
from factory.gitlab import connect as gitlab
from factory.gitlab.connect import Connection
from factory.gitlab.namespace import service_accounts
from factory.gitlab.namespace.service_accounts import Group
from factory.instance.workspace import AGENT, BOT, Workspace
from factory.secrets import tokens
from factory.system import clock

# A token lasts this many days (GitLab allows 365), and is replaced this many days before its end.
_DAYS, _EARLY = 364, 30
_DAY = 86_400

Say = Callable[[str], None]


def names(project: str) -> dict[str, str]:
    """Return the user names of the service accounts of a project, by the factory's own name of the account."""
    return {account: service_accounts.username(project, account) for account in (BOT, AGENT)}


def expiry() -> str:
    """Return the day on which a token that is made now ends."""
    return clock.after(_DAYS * _DAY).date().isoformat()


def due(workspace: Workspace, url: str, wanted: Mapping[str, str]) -> list[str]:
    """Return the accounts of ``wanted`` of which no token is kept that GitLab accepts for long enough."""
    return [account for account, username in wanted.items() if not _lasts(workspace, url, account, username)]


def _lasts(workspace: Workspace, url: str, account: str, username: str) -> bool:
    try:
        text = tokens.get(workspace.token_folder, account, {}, key=workspace.key_file)
        found = accounts.look(gitlab.connect(url, "", account=account, token=text))
    except (Unauthorized, Refused):
        return False
    ends = date.fromisoformat(found.expires) if found.expires else date.max
    return found.username == username and ends > clock.after(_EARLY * _DAY).date()


def equip(workspace: Workspace, owner: Connection, within: Group, wanted: Mapping[str, str], *, say: Say) -> None:
    """Make the accounts of ``wanted`` that are missing, and a token of each, which is kept encrypted.

    After an interruption, call it again: it makes another token in place of one that was not kept. Raises ``Refused``
    if GitLab makes no account of that name.
    """
    # Of several machines, each has tokens of its own.
    name = f"factory {workspace.identity()}"
    for account, username in wanted.items():
        try:
            number = service_accounts.make(owner, within, username)
        except (InvalidInput, Refused, Conflict) as error:
            raise Refused(
                f"GitLab made no service account {username}: {error}",
                hint="Run `factory connect` with --bot and the token of an account that you signed up.",
            ) from error
        token = service_accounts.new_token(owner, within, number, name=name, expires=expiry())
        tokens.seal(workspace.token_folder, account, token, key=workspace.key_file)
        say(f"{username}: its token is kept encrypted, and ends on {expiry()}")
