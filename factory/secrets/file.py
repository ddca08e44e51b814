"""Stores secrets in one file that is encrypted as a whole, including the names, with AES-256-GCM and one key.

The key comes from a file that only its owner can read, outside of any repository, or is derived from a passphrase
(scrypt). A wrong key and a changed file raise the same error because they cannot be distinguished.
"""

import base64
import json
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.model.secret import Secret, SecretLocation, StoredSecret
from factory.system import canonical, clock, files

_FORMAT = 1
_KEY_BYTES, _NONCE_BYTES, _SALT_BYTES = 32, 12, 16
# About 64 MiB and 0.2 s for each derivation; r and p are those that RFC 7914, section 2, recommends.
_COST = {"n": 2**16, "r": 8, "p": 1}
_KEPT_VERSIONS = 10
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Key = Callable[[bytes], bytes]


def made_key(path: Path) -> Key:
    """Return the key in a file; create the file if it does not exist.

    Raises ``Refused`` if others can read the file or it is inside a repository, ``InvalidInput`` if it has no key.
    """
    if any((folder / ".git").exists() for folder in path.resolve().parents):
        raise Refused(
            f"the key {path} is inside a repository", hint="Move the key elsewhere, so that it cannot be committed."
        )
    if not path.exists():
        files.private_folder(path.parent)
        files.write_atomic(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)), mode=0o600)
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise Refused(
            f"others can read the key {path}", hint=f"Run `chmod 600 {path}` and rotate the secrets it encrypts."
        )
    try:
        key = base64.b64decode(files.read_bytes(path).strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidInput(f"{path} does not contain a key of {_KEY_BYTES} bytes")
    return lambda _: key


def passphrase_key(passphrase: Secret) -> Key:
    """Return the key that is derived from a passphrase and a file's salt."""
    return lambda salt: Scrypt(salt=salt, length=_KEY_BYTES, **_COST).derive(passphrase.reveal().encode())


@dataclass(frozen=True)
class EncryptedFile:
    """All secrets of one file; ``key`` returns the key for the file's salt."""

    path: Path
    key: Key = field(repr=False)

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return the newest version; raises ``NotFound``, and ``InvalidInput`` if the file can't be decrypted."""
        versions = self._read().get(place.path)
        if not versions:
            raise NotFound(f"{self.path} has no secret {place.path}", hint="Store it with `factory secrets put`.")
        newest = versions[-1]
        return StoredSecret(Secret(newest["value"]), newest["version"], newest["created"])

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Write a new version and return its number.

        Raises ``Conflict`` if ``version`` is given and is not the newest one. If the disk is full, raises ``DiskFull``
        and leaves the file unchanged.
        """
        files.private_folder(self.path.parent)
        with files.locked(self.path.with_suffix(".lock")):
            entries = self._read()
            versions = entries.setdefault(place.path, [])
            newest = versions[-1]["version"] if versions else 0
            if version not in (None, newest):
                raise Conflict(
                    f"{place.path} is at version {newest}, not {version}: somebody else changed it",
                    hint="Check the new version with `factory secrets get`, then put your value again.",
                )
            entry = {"version": newest + 1, "value": value.reveal(), "created": clock.timestamp()}
            entries[place.path] = [*versions, entry][-_KEPT_VERSIONS:]
            files.write_atomic(self.path, self._sealed(entries), mode=0o600)
        return int(newest) + 1

    def names(self) -> tuple[str, ...]:
        """Return the paths of all secrets, sorted."""
        return tuple(sorted(self._read()))

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self.path.exists():
            return {}
        try:
            stored = json.loads(files.read_bytes(self.path))
            head = {name: stored[name] for name in ("format", "salt")}
            nonce, body, salt = (base64.b64decode(stored[name], validate=True) for name in ("nonce", "body", "salt"))
            opened = AESGCM(self.key(salt)).decrypt(nonce, body, canonical.encode(head))
            found: dict[str, list[dict[str, Any]]] = json.loads(opened)
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise InvalidInput(
                f"{self.path} can't be decrypted: the key is wrong or the file was changed",
                hint="Use the key that encrypted the file. If it is lost, move the file away and put the values again.",
            ) from None
        return found

    def _sealed(self, entries: dict[str, list[dict[str, Any]]]) -> bytes:
        nonce, salt = os.urandom(_NONCE_BYTES), os.urandom(_SALT_BYTES)
        head = {"format": _FORMAT, "salt": base64.b64encode(salt).decode()}
        body = AESGCM(self.key(salt)).encrypt(nonce, canonical.encode(entries), canonical.encode(head))
        parts = {"nonce": base64.b64encode(nonce).decode(), "body": base64.b64encode(body).decode()}
        return canonical.encode(head | parts) + b"\n"
