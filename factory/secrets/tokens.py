"""Accounts' tokens: from the environment where it names one, else from the instance's private files."""

from collections.abc import Mapping
from pathlib import Path

from factory.errors import Unauthorized
from factory.system import files

ACCOUNTS = ("operator", "factory-bot", "factory-agent", "rehearsal")


def variable(account: str) -> str:
    """Return the environment variable that holds an account's token."""
    return "FACTORY_TOKEN_" + account.upper().replace("-", "_")


def get(folder: Path, account: str, environment: Mapping[str, str]) -> str:
    """Return an account's token; raises ``Unauthorized`` where there is none."""
    given = environment.get(variable(account))
    if given:
        return given
    path = folder / account
    if not path.exists():
        raise Unauthorized(
            f"there is no token for the account {account}",
            hint=f"Run `factory up`, or set {variable(account)} for a GitLab of your own.",
        )
    return files.read_text(path).strip()


def credential(folder: Path, name: str, environment: Mapping[str, str]) -> str:
    """Return a credential by the name of its variable, from the environment or the private file; else nothing."""
    path = folder / name
    return environment.get(name) or (files.read_text(path).strip() if path.exists() else "")


def keep(folder: Path, account: str, token: str) -> None:
    """Keep a token where only its owner can read it."""
    files.private_folder(folder)
    files.write_atomic(folder / account, token.encode(), mode=0o600)
