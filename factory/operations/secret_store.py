"""Opens what keeps the secrets of an instance: the provider of policy, logged in as this machine may."""

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

# A saved login that is about to end is not used: the command would be cut off.
_SPARE_SECONDS = 20


class Ask(Protocol):
    """How a person is asked for a value that is not shown."""

    def __call__(self, what: str, *, twice: bool = False, only_terminal: bool = False) -> Secret:
        """Return what the person typed; raises ``InvalidInput`` for nothing, ``Refused`` without a terminal."""
        ...


@dataclass(frozen=True)
class Store:
    """The secrets of one instance: ``key`` is the encrypted file's key, ``ask`` asks a person for a value."""

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
        """Return the private folder of all that is kept here."""
        return self.state / "secrets"

    @property
    def encrypted(self) -> Path:
        """Return the encrypted file."""
        return self.folder / "store.json"

    @property
    def by_passphrase(self) -> Path:
        """Return the mark that the file is opened by a passphrase."""
        return self.folder / "passphrase"

    @cached_property
    def local(self) -> server.Local:
        """Return the local server; raises ``MachineError`` where OpenBao is not installed."""
        path = self.search_path
        return server.Local(self.folder / "openbao", server.program(path), {"PATH": path})

    @property
    def address(self) -> str:
        """Return OpenBao's address: policy's, or the local server's, which is started where it was stopped."""
        given = self.policies.secrets.address or self.environment.get(lease.ADDRESS, "")
        if given:
            return given
        if not (self.folder / "openbao" / "server.json").exists():
            raise NotFound("there is no OpenBao here", hint="Set one up with `factory secrets init`.")
        return server.start(self.local)

    def named(self, name: str, environment: str | None) -> SecretLocation:
        """Return where a secret of policy is kept; raises ``NotFound`` and ``InvalidInput``."""
        known = self.policies.secrets.secrets
        if name not in known:
            raise NotFound(
                f"policies/secrets.yml names no secret {name!r}; it names {', '.join(known) or 'none'}",
                hint="Add it there first: who may read it, and for how many days it stays the same.",
            )
        rule = known[name]
        there = rule.environments or ("",)
        if environment is None and len(there) > 1:
            raise InvalidInput(f"{name} has a value for each of {', '.join(there)}: name one with --environment")
        wanted = there[0] if environment is None else environment
        if wanted not in there:
            raise InvalidInput(f"{name} is not for the environment {wanted!r}; it is for {', '.join(there) or 'plans'}")
        return rule.place(name, wanted)

    def places(self) -> list[tuple[SecretLocation, str, int]]:
        """Return every place of policy, its environment (empty for plans), and how many days a value stays."""
        return [
            (rule.place(name, scope), scope, rule.rotate_days)
            for name, rule in self.policies.secrets.secrets.items()
            for scope in rule.environments or ("",)
        ]

    @contextmanager
    def opened(self) -> Iterator[Provider]:
        """Give the provider until the block ends; a login that was made for it is revoked then."""
        name = self.policies.secrets.provider
        if name == "openbao":
            with self.connection() as found:
                yield found
            return
        key = self.file_key() if name == "file" else None
        yield PROVIDERS[name](Options(environment=self.environment, store=self.encrypted, key=key))

    def file_key(self) -> file.Key:
        """Return the encrypted file's key; raises ``NotFound`` where it was never made."""
        if self.by_passphrase.exists():
            return file.passphrase_key(self.ask("Passphrase", only_terminal=True))
        if not self.key.exists():
            raise NotFound(f"there is no key {self.key}", hint="Make it with `factory secrets init`, or bring it back.")
        return file.made_key(self.key)

    @contextmanager
    def connection(self) -> Iterator[OpenBao]:
        """Give OpenBao, by the saved login, the environment's, or the machine's own; raises ``Unauthorized``."""
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
        """Log in by what the environment holds, else by the AppRole that is kept here; raises ``Unauthorized``.

        ``way`` names one of ``id-token`` and ``approle``, and the other is not tried.
        """
        others = {"approle": {lease.IDENTITY}, "id-token": {lease.ROLE_ID, lease.SECRET_ID}}.get(way or "", set())
        given = {name: value for name, value in self.environment.items() if name not in others}
        if way == "id-token" or given.get(lease.IDENTITY) or given.get(lease.SECRET_ID):
            return lease.login(made, given, deploys=deploys)
        kept = self.read("approle")
        if not kept or kept["address"] != made.address:
            raise Unauthorized(
                f"nobody is logged in to {made.address}", hint="Log in with `factory secrets login`, then run it again."
            )
        return made.login_approle(kept["role_id"], Secret(kept["secret_id"]))

    def read(self, name: str) -> dict[str, Any]:
        """Return one of the private files as JSON; empty where there is none."""
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
        """Keep a login for the commands that follow, and return when it ends."""
        until = clock.after(given.seconds)
        self.keep("login", {"address": address, "token": given.token.reveal(), "until": clock.iso(until)})
        return until

    def _saved(self, address: str) -> Secret | None:
        kept = self.read("login")
        if not kept or kept["address"] != address or clock.parse(kept["until"]) < clock.after(_SPARE_SECONDS):
            return None
        return Secret(kept["token"])
