"""The providers that store secrets, their common interface, and the functions that open them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from factory.errors import InvalidInput
from factory.model.secret import Secret, SecretLocation, StoredSecret
from factory.secrets import file
from factory.secrets.environment import Variables


class Provider(Protocol):
    """The interface of a provider; ``version`` is the current version that ``put`` expects, ``None`` means any."""

    def get(self, place: SecretLocation) -> StoredSecret:
        """Return a secret; raises ``NotFound``."""
        ...

    def put(self, place: SecretLocation, value: Secret, *, version: int | None = None) -> int:
        """Store a new version and return its number; raises ``Conflict`` and ``Refused``."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the paths of all secrets."""
        ...


@dataclass(frozen=True)
class Options:
    """Settings for opening a provider: variables, an address with a token, or a file with its key."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    address: str = ""
    certificates: str = ""
    token: Secret | None = None
    store: Path | None = None
    key: file.Key | None = field(default=None, repr=False)


def _openbao(options: Options) -> Provider:
    from factory.secrets.openbao import OpenBao  # noqa: PLC0415 - importing hvac takes 90 ms

    if not options.address:
        raise InvalidInput("policies/secrets.yml has no address of OpenBao, and no local server was set up")
    return OpenBao(options.address, token=options.token, ca=options.certificates)


def _environment(options: Options) -> Provider:
    return Variables(options.environment)


def _file(options: Options) -> Provider:
    if options.store is None or options.key is None:
        raise InvalidInput("the encrypted file needs a path and a key")
    return file.EncryptedFile(options.store, options.key)


PROVIDERS: Mapping[str, Callable[[Options], Provider]] = {
    "openbao": _openbao,
    "environment": _environment,
    "file": _file,
}
