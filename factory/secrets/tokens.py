"""Reads and stores the accounts' tokens. A token in the environment takes precedence over a stored one.

Tokens of the embedded GitLab are private plain-text files because they only work on this machine. Tokens of a real
GitLab are stored in an encrypted file.
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
    """Return the name of the environment variable for an account's token."""
    return "FACTORY_TOKEN_" + account.upper().replace("-", "_")


def get(folder: Path, account: str, environment: Mapping[str, str], *, key: Path) -> str:
    """Return an account's token; ``key`` is the key file of sealed tokens. Raises ``Unauthorized`` if it has none."""
    token = environment.get(variable(account))
    if token:
        return token
    path = folder / account
    if path.exists():
        return files.read_text(path).strip()
    try:
        return _opened(folder, key).get(_place(account)).value.reveal()
    except NotFound:
        raise Unauthorized(
            f"the account {account} has no token",
            hint=f"Run `factory up`, or `factory connect` for your own GitLab, or set {variable(account)}.",
        ) from None


def credential(folder: Path, name: str, environment: Mapping[str, str]) -> str:
    """Return the credential ``name`` from the environment or from the private file, or an empty text."""
    path = folder / name
    return environment.get(name) or (files.read_text(path).strip() if path.exists() else "")


def seal(folder: Path, account: str, token: Secret, *, key: Path) -> None:
    """Store a token encrypted with a key file; create the key file if it does not exist."""
    _opened(folder, key, make=True).put(_place(account), token)


def sealed(folder: Path) -> Path:
    """Return the file of the sealed tokens."""
    return folder / _SEALED


def _opened(folder: Path, key: Path, *, make: bool = False) -> "EncryptedFile":
    from factory.secrets.file import EncryptedFile, made_key  # noqa: PLC0415 - start-up speed: cryptography

    if not sealed(folder).exists() and not make:
        raise NotFound(f"{folder} has no sealed tokens", hint="`factory connect URL` asks for the token and stores it.")
    return EncryptedFile(sealed(folder), made_key(key))


def _place(account: str) -> SecretLocation:
    return SecretLocation(account, f"account/{account}")


def webhook(folder: Path) -> Secret:
    """Return the secret token of the webhooks; create it if it does not exist."""
    path = folder / WEBHOOK
    if not path.exists():
        keep(folder, WEBHOOK, secrets.token_urlsafe(32))
    return Secret(files.read_text(path).strip())


def keep(folder: Path, account: str, token: str) -> None:
    """Store a token in a file that only its owner can read."""
    files.private_folder(folder)
    files.write_atomic(folder / account, token.encode(), mode=0o600)
