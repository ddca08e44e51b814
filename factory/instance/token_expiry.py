"""Says which of a connected project's tokens end soon, and the command that renews each."""

from contextlib import suppress

from factory.errors import FactoryError
from factory.gitlab import accounts
from factory.instance import factory_accounts
from factory.instance.workspace import AGENT, BOT, OPERATOR, Say, Workspace


def warn(workspace: Workspace, *, say: Say) -> None:
    """Say a line for each token that ends within a week; an embedded instance's have no end.

    Raises nothing: what the command does with a token that GitLab rejects says so.
    """
    if workspace.settings.embedded:
        return
    named = {workspace.username(account): account for account in (AGENT, BOT, OPERATOR)}
    made = factory_accounts.names(workspace.settings["project"]).values()
    for username, account in named.items():
        # `connect` makes new tokens of service accounts by itself.
        renew = "--browser" if account == OPERATOR else "--yes" if username in made else "--bot"
        with suppress(FactoryError):
            expires = accounts.expiry(workspace.connection(account))
            if line := accounts.ending(username, expires, workspace.url, renew=renew):
                say(line)
