"""Opens the secret provider of an instance, with the login of this machine."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from factory.errors import InvalidInput, NotFound, Unauthorized
from factory.model.secret import Secret, SecretLocation
from factory.policies.folder import read_folder
from factory.policies.model import Policies
from factory.secrets import file, lease, server
from factory.secrets.openbao import Login, OpenBao
from factory.secrets.providers import PROVIDERS, Options, Provider
from factory.system import clock, files

# A saved login with less time left is not used, because it could expire during the command.
_SPARE_SECONDS = 20


class Ask(Protocol):
    """Asks a person for a value without showing it."""

    def __call__(self, what: str, *, twice: bool = False, only_terminal: bool = False) -> Secret:
        """Return the typed value; raises ``InvalidInput`` if it is empty, ``Refused`` without a terminal."""
        ...


@dataclass(frozen=True)
class Store:
    """The secrets of one instance: ``key`` is the encrypted file's key, ``ask`` prompts a person for a value."""

    clone: Path
    state: Path
    key: Path
    search_path: str
    environment: Mapping[str, str]
    ask: Ask

    @cached_property
    def policies(self) -> Policies:
        """Return the policies of the clone; raises ``InvalidInput``."""
        return read_folder(self.clone)

    @property
    def folder(self) -> Path:
        """Return the private folder of the secrets."""
        return self.state / "secrets"

    @property
    def encrypted(self) -> Path:
        """Return the path of the encrypted file."""
        return self.folder / "store.json"

    @property
    def by_passphrase(self) -> Path:
        """Return the path of the file that marks a store with a passphrase."""
        return self.folder / "passphrase"

    @cached_property
    def local(self) -> server.Local:
        """Return the local server; raises ``MachineError`` if OpenBao is not installed."""
        path = self.search_path
        return server.Local(self.folder / "openbao", server.program(path), {"PATH": path})

    @property
    def address(self) -> str:
        """Return OpenBao's address: from policy or the environment, else of the local server, started if needed."""
        given = self.policies.secrets.address or self.environment.get(lease.ADDRESS, "")
        if given:
            return given
        if not (self.folder / "openbao" / "server.json").exists():
            raise NotFound("no local OpenBao is set up", hint="Set one up with `factory secrets init`.")
        return server.start(self.local)

    def named(self, name: str, environment: str | None) -> SecretLocation:
        """Return the location of a secret of policy; raises ``NotFound`` and ``InvalidInput``."""
        known = self.policies.secrets.secrets
        if name not in known:
            raise NotFound(
                f"policies/secrets.yml names no secret {name!r}; its secrets are {', '.join(known) or '(none)'}",
                hint="Add the secret to policies/secrets.yml, with its environments and `rotate_days`.",
            )
        rule = known[name]
        scopes = rule.scopes
        if environment is None and len(scopes) > 1:
            raise InvalidInput(f"{name} has a value for each of {', '.join(scopes)}: select one with --environment")
        scope = scopes[0] if environment is None else environment
        if scope not in scopes:
            allowed = ", ".join(scopes) or "plans only"
            raise InvalidInput(f"{name} has no value for the environment {scope!r}; it is for {allowed}")
        return rule.place(name, scope)

    def places(self) -> list[tuple[SecretLocation, str, int]]:
        """Return every secret's location, its environment (empty for plans), and its maximum age in days."""
        return [
            (rule.place(name, scope), scope, rule.rotate_days)
            for name, rule in self.policies.secrets.secrets.items()
            for scope in rule.scopes
        ]

    @contextmanager
    def opened(self) -> Iterator[Provider]:
        """Yield the provider; a login that was created for it is revoked when the block ends."""
        name = self.policies.secrets.provider
        if name == "openbao":
            with self.connection() as found:
                yield found
            return
        key = self.file_key() if name == "file" else None
        yield PROVIDERS[name](Options(environment=self.environment, store=self.encrypted, key=key))

    def file_key(self) -> file.Key:
        """Return the encrypted file's key; raises ``NotFound`` if the key file is missing."""
        if self.by_passphrase.exists():
            return file.passphrase_key(self.ask("Passphrase", only_terminal=True))
        if not self.key.exists():
            hint = "Create it with `factory secrets init`, or restore it."
            raise NotFound(f"the key file {self.key} is missing", hint=hint)
        return file.made_key(self.key)

    @contextmanager
    def connection(self) -> Iterator[OpenBao]:
        """Yield OpenBao with the saved login, the environment's or the machine's; raises ``Unauthorized``."""
        address = self.address
        certificates = self.environment.get(lease.CERTIFICATES, "")
        saved = self._saved(address)
        if saved:
            with closing(OpenBao(address, token=saved, ca=certificates)) as made:
                yield made
            return
        with closing(OpenBao(address, ca=certificates)) as made, lease.held(made, self.login(made)):
            yield made

    def login(self, made: OpenBao, *, deploys: str = "", way: str | None = None) -> Login:
        """Log in with the environment's credentials, else with the stored AppRole; raises ``Unauthorized``.

        ``way`` restricts the login to ``id-token`` or ``approle``.
        """
        others = {"approle": {lease.IDENTITY}, "id-token": {lease.ROLE_ID, lease.SECRET_ID}}.get(way or "", set())
        given = {name: value for name, value in self.environment.items() if name not in others}
        if way == "id-token" or given.get(lease.IDENTITY) or given.get(lease.SECRET_ID):
            return lease.login(made, given, deploys=deploys)
        kept = self.read("approle")
        if not kept or kept["address"] != made.address:
            raise Unauthorized(
                f"not logged in to {made.address}",
                hint="Log in with `factory secrets login`, then run the command again.",
            )
        return made.login_approle(kept["role_id"], Secret(kept["secret_id"]))

    def read(self, name: str) -> dict[str, Any]:
        """Return one of the private files as JSON; empty if the file does not exist."""
        path = self.folder / f"{name}.json"
        try:
            found: dict[str, Any] = json.loads(files.read_text(path)) if path.exists() else {}
        except ValueError as error:
            raise InvalidInput(f"{path} is not JSON", hint=f"Delete {path} and log in again.") from error
        return found

    def keep(self, name: str, value: dict[str, Any]) -> None:
        """Write one of the private files."""
        files.private_folder(self.folder)
        files.write_atomic(self.folder / f"{name}.json", json.dumps(value, indent=1).encode(), mode=0o600)

    def save(self, address: str, given: Login) -> datetime:
        """Store a login for later commands, and return the time at which it ends."""
        until = clock.after(given.seconds)
        self.keep("login", {"address": address, "token": given.token.reveal(), "until": clock.iso(until)})
        return until

    def _saved(self, address: str) -> Secret | None:
        kept = self.read("login")
        if not kept or kept["address"] != address or clock.parse(kept["until"]) < clock.after(_SPARE_SECONDS):
            return None
        return Secret(kept["token"])
