"""The workspace of a command: settings, paths, accounts, tokens and connections of one instance."""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from factory.config import Settings, connection
from factory.errors import NotFound
from factory.gitlab.connect import Connection, connect
from factory.secrets import tokens
from factory.system import data, files
from factory.system.toolchain import Toolchain, readable, tool_env, toolchain

Say = Callable[[str], None]
BOT, AGENT, OPERATOR, REHEARSAL = "factory-bot", "factory-agent", "operator", "rehearsal"
# The account of the embedded hosts, whose token reads, and pushes what they say.
HOST = "factory-host"
# The file with the built-in runners' tokens by name.
RUNNERS = "runners.json"


@dataclass(frozen=True)
class InstanceRecord:
    """What an embedded instance keeps in instance.json: its tier, its project, and its servers' ports by name."""

    tier: str
    project: str
    ports: Mapping[str, int]


@dataclass(frozen=True)
class Workspace:
    """One instance as a command sees it."""

    settings: Settings
    environment: Mapping[str, str]
    say: Say

    @property
    def state(self) -> Path:
        """Return the instance's folder."""
        return self.settings.state

    @property
    def token_folder(self) -> Path:
        """Return the folder of the accounts' tokens."""
        return self.state / "tokens"

    @property
    def tools(self) -> Toolchain:
        """Return the locations of external programs."""
        return toolchain(self.environment, self.settings.owner)

    @property
    def tool_env(self) -> dict[str, str]:
        """Return a clean environment for the factory's own programs."""
        return tool_env(self.environment, self.tools)

    @property
    def readable(self) -> tuple[Path, ...]:
        """Return the folders that the factory's own programs must be able to read behind the launch door."""
        return (self.tools.tools, *readable())

    @cached_property
    def record(self) -> InstanceRecord:
        """Return the content of instance.json; raises ``NotFound`` if the instance was never started."""
        path = self.state / "instance.json"
        if not path.exists():
            demo = (self.state.parent / "demo" / "instance.json").exists()
            more = "; the demo's state is in `factory --instance demo up`" if demo else ""
            raise NotFound("the embedded servers were never started here", hint=f"Start them with `factory up`{more}.")
        return data.read(InstanceRecord, files.read_bytes(path), source=str(path))

    @property
    def url(self) -> str:
        """Return GitLab's base URL."""
        return self.settings["gitlab_url"] or f"http://127.0.0.1:{self.record.ports['gitlab']}"

    def identity(self) -> str:
        """Return a random name that identifies this state folder; created once."""
        path = self.state / "identity"
        if not path.exists():
            files.write_atomic(path, secrets.token_hex(8).encode())
        return files.read_text(path)

    def cloudflare_tokens(self) -> dict[str, str]:
        """Return the loopback Cloudflare's tokens (``plan`` reads, ``apply`` writes); created once."""
        path = self.token_folder / "cloudflare.json"
        if not path.exists():
            created = {name: f"local-{secrets.token_urlsafe(18)}" for name in ("plan", "apply")}
            files.private_folder(path.parent)
            files.write_atomic(path, json.dumps(created).encode(), mode=0o600)
        value: dict[str, str] = json.loads(files.read_text(path))
        return value

    @property
    def key_file(self) -> Path:
        """Return the path of the encryption key, outside the state folder: a copy of either alone is useless."""
        base = Path(self.environment.get("XDG_CONFIG_HOME") or Path(self.environment.get("HOME") or "/") / ".config")
        return base / "factory" / "keys" / hashlib.sha256(str(self.state).encode()).hexdigest()[:16]

    def token(self, account: str) -> str:
        """Return an account's token; the operator's if both are one account. Raises ``Unauthorized``."""
        shared = account != OPERATOR and self.username(account) == self.username(OPERATOR)
        name = OPERATOR if shared else account
        return tokens.get(self.token_folder, name, self.environment, key=self.key_file)

    def username(self, account: str) -> str:
        """Return an account's GitLab user name: its own name, or the one that ``factory connect`` stored."""
        known = connection(self.state).get("accounts")
        return str(known.get(account, account)) if isinstance(known, dict) else account

    def connection(self, account: str = OPERATOR) -> Connection:
        """Return an account's connection to the project."""
        url = self.url
        path, token = self.settings["project"], self.token(account)
        return connect(url, path, account=self.username(account), token=token, say=self.say)
