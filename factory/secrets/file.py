"""Secrets in one encrypted file: AES-256-GCM over all of it, names too, under one key.

The key is a file that only its owner can read and that lies outside of any repository, or is made from a passphrase
(scrypt). A wrong key and a changed byte are one error: nothing tells them apart.
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
# 64 MiB and a fifth of a second: what RFC 7914 takes for a key that is asked for by a person, doubled.
_COST = {"n": 2**16, "r": 8, "p": 1}
_KEPT_VERSIONS = 10
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

Key = Callable[[bytes], bytes]


def made_key(path: Path) -> Key:
    """Return the key in a file, made where there is none.

    Raises ``Refused`` where others can read the file or it lies in a repository, ``InvalidInput`` where it holds none.
    """
    if any((folder / ".git").exists() for folder in path.resolve().parents):
        raise Refused(
            f"the key {path} lies in a repository", hint="Keep the key outside: it would be committed one day."
        )
    if not path.exists():
        files.private_folder(path.parent)
        files.write_atomic(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)), mode=0o600)
    if stat.S_IMODE(path.stat().st_mode) & _OTHERS:
        raise Refused(f"others can read the key {path}", hint=f"Run `chmod 600 {path}`, and rotate what it guards.")
    try:
        key = base64.b64decode(files.read_bytes(path).strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidInput(f"{path} holds no key of {_KEY_BYTES} bytes")
    return lambda _: key


def passphrase_key(passphrase: Secret) -> Key:
    """Return the key that a passphrase makes with a file's salt."""
    return lambda salt: Scrypt(salt=salt, length=_KEY_BYTES, **_COST).derive(passphrase.reveal().encode())


@dataclass(frozen=True)
class EncryptedFile:
    """All secrets of one file; ``key`` makes the key from the file's salt."""

    path: Path
    key: Key = field(repr=False)

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return the newest version; raises ``NotFound``, and ``InvalidInput`` where the file can't be opened."""
        versions = self._read().get(place.path)
        if not versions:
            raise NotFound(f"there is no secret {place.path} in {self.path}", hint="Store it: `factory secrets put`.")
        newest = versions[-1]
        return StoredSecret(Secret(newest["value"]), newest["version"], newest["created"])

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Write a new version and return its number; raises ``Conflict`` where it must follow another one.

        A full disk leaves the file as it was and raises ``DiskFull``.
        """
        files.private_folder(self.path.parent)
        with files.locked(self.path.with_suffix(".lock")):
            entries = self._read()
            versions = entries.setdefault(place.path, [])
            newest = versions[-1]["version"] if versions else 0
            if version not in (None, newest):
                raise Conflict(
                    f"{place.path} is at version {newest}, not {version}: somebody else changed it",
                    hint="Look with `factory secrets get` and put it again.",
                )
            made = {"version": newest + 1, "value": value.reveal(), "created": clock.timestamp()}
            entries[place.path] = [*versions, made][-_KEPT_VERSIONS:]
            files.write_atomic(self.path, self._sealed(entries), mode=0o600)
        return int(newest) + 1

    def names(self) -> tuple[str, ...]:
        """Return the paths of all secrets, sorted."""
        return tuple(sorted(self._read()))

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self.path.exists():
            return {}
        try:
            kept = json.loads(files.read_bytes(self.path))
            head = {name: kept[name] for name in ("format", "salt")}
            nonce, body, salt = (base64.b64decode(kept[name], validate=True) for name in ("nonce", "body", "salt"))
            opened = AESGCM(self.key(salt)).decrypt(nonce, body, canonical.encode(head))
            found: dict[str, list[dict[str, Any]]] = json.loads(opened)
        except (InvalidTag, ValueError, KeyError, TypeError):
            raise InvalidInput(
                f"{self.path} can't be opened: the key is not the one it was written with, or the file was changed",
                hint="Use the key it was written with. If that is lost, move the file away and put the values anew.",
            ) from None
        return found

    def _sealed(self, entries: dict[str, list[dict[str, Any]]]) -> bytes:
        nonce, salt = os.urandom(_NONCE_BYTES), os.urandom(_SALT_BYTES)
        head = {"format": _FORMAT, "salt": base64.b64encode(salt).decode()}
        body = AESGCM(self.key(salt)).encrypt(nonce, canonical.encode(entries), canonical.encode(head))
        parts = {"nonce": base64.b64encode(nonce).decode(), "body": base64.b64encode(body).decode()}
        return canonical.encode(head | parts) + b"\n"
