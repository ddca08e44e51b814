"""Accounts' tokens: from the environment where it names one, else from what the instance keeps.

The embedded instance's are plain private files: they open a server on this machine alone. Those of a real GitLab are
sealed in an encrypted file.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from factory.errors import NotFound, Unauthorized
from factory.model.secret import Secret, SecretLocation
from factory.system import files

if TYPE_CHECKING:
    from factory.secrets.file import EncryptedFile

_SEALED, WEBHOOK = "accounts.json", "webhook"
ACCOUNTS = ("operator", "factory-bot", "factory-agent", "rehearsal")


def variable(account: str) -> str:
    """Return the environment variable that holds an account's token."""
    return "FACTORY_TOKEN_" + account.upper().replace("-", "_")


def get(folder: Path, account: str, environment: Mapping[str, str], *, key: Path) -> str:
    """Return an account's token; ``key`` opens those that are sealed. Raises ``Unauthorized`` where there is none."""
    given = environment.get(variable(account))
    if given:
        return given
    path = folder / account
    if path.exists():
        return files.read_text(path).strip()
    try:
        return _opened(folder, key).get(_place(account)).value.reveal()
    except NotFound:
        raise Unauthorized(
            f"there is no token for the account {account}",
            hint=f"Run `factory up`, or `factory connect` for a GitLab of your own, or set {variable(account)}.",
        ) from None


def credential(folder: Path, name: str, environment: Mapping[str, str]) -> str:
    """Return a credential by the name of its variable, from the environment or the private file; else nothing."""
    path = folder / name
    return environment.get(name) or (files.read_text(path).strip() if path.exists() else "")


def seal(folder: Path, account: str, token: Secret, *, key: Path) -> None:
    """Keep a token encrypted under a key file, which is made where it is missing."""
    _opened(folder, key, make=True).put(_place(account), token)


def sealed(folder: Path) -> Path:
    """Return the file of the sealed tokens."""
    return folder / _SEALED


def _opened(folder: Path, key: Path, *, make: bool = False) -> "EncryptedFile":
    from factory.secrets.file import EncryptedFile, made_key  # noqa: PLC0415 - start-up speed: cryptography

    if not sealed(folder).exists() and not make:
        raise NotFound(f"nothing is sealed in {folder}")
    return EncryptedFile(sealed(folder), made_key(key))


def _place(account: str) -> SecretLocation:
    return SecretLocation(account, f"account/{account}")


def webhook(folder: Path) -> Secret:
    """Return the secret token that webhooks carry, and which is made where it is missing."""
    path = folder / WEBHOOK
    if not path.exists():
        keep(folder, WEBHOOK, secrets.token_urlsafe(32))
    return Secret(files.read_text(path).strip())


def keep(folder: Path, account: str, token: str) -> None:
    """Keep a token where only its owner can read it."""
    files.private_folder(folder)
    files.write_atomic(folder / account, token.encode(), mode=0o600)
