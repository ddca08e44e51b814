"""The context that every workflow step gets: GitLab connections, git mirror, signer and output to the person."""

import functools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.evidence.sign import Signer
from factory.evidence.trust import Trust
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN
from factory.operations import trust_root
from factory.operations.repository import starter, wheel_upgrade
from factory.policies import read
from factory.policies.model import Policies, TrustRoot
from factory.worktrees.repository import Author, Mirror

SIMULATED_APPROVER = "rehearsal"
# Folders in which agents look for settings. Agents list them, so a missing one is created empty.
AGENT_FOLDERS = (".claude", ".codex", ".gemini", ".opencode", ".agents", ".cursor")
PROTECTED_IN_WORKTREE = (
    ".git",
    ".gitlab-ci.yml",
    ".gitlab",
    "policies",
    "factory",
    "scripts",
    "specs",
    "pyproject.toml",
    # Files from which agents read instructions, settings and tools.
    "AGENTS.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "GEMINI.md",
    ".mcp.json",
    "opencode.json",
    "opencode.jsonc",
    ".aider.conf.yml",
    *AGENT_FOLDERS,
)


@dataclass(frozen=True)
class Accounts:
    """The two accounts that the factory acts as, and their tokens, which nothing else keeps.

    ``alone`` is true if the person and the factory share one account, ``simulator`` if the server is the loopback one.
    """

    bot: Connection
    agent: Connection
    bot_token: str
    agent_token: str
    simulator: bool
    alone: bool = False


@dataclass(frozen=True)
class Machine:
    """The machine that the factory runs on.

    ``state`` is the instance's folder, ``holder`` the name of this process in leases. Our own programs get ``env`` and
    may read ``readable``. ``environments`` is the folder of the apps' environments. Agents are found on ``agents_path``
    and may install packages from ``wheels`` and ``npm``. ``credential`` returns a model's credential by name.
    ``person`` is the environment of the person, for the login that an agent's official program keeps; sessions that
    share a login take turns by files in ``logins``.
    """

    state: Path
    holder: str
    env: Mapping[str, str]
    readable: tuple[Path, ...]
    environments: Path = Path("/nonexistent")
    agents_path: str = ""
    wheels: Path | None = None
    npm: Path | None = None
    credential: Callable[[str], str] = lambda _: ""
    person: Mapping[str, str] = field(default_factory=dict, repr=False)
    logins: Path = Path("/nonexistent")


@dataclass(frozen=True)
class Recorder:
    """What the recorder signs with, and the trust root of this machine's key alone.

    ``signer`` returns the machine's key. Given the ids of the trusted keys, it first changes over to a new key that is
    among them.
    """

    signer: Callable[[Container[str]], Signer]
    own: Trust


@dataclass(frozen=True)
class Console:
    """How the factory talks to the person who runs it; ``agent_name`` is an agent that the person named."""

    say: Callable[[str], None]
    timed: Callable[[str, float], None]
    interactive: bool = False
    agent_name: str | None = None


@dataclass(frozen=True)
class Context:
    """One running factory: its accounts, its copy of the repository, its machine, recorder and console."""

    accounts: Accounts
    mirror: Mirror
    machine: Machine
    recorder: Recorder
    console: Console

    @property
    def bot(self) -> Connection:
        """Return the connection of the factory's own account."""
        return self.accounts.bot

    @property
    def agent(self) -> Connection:
        """Return the connection of the account under which agents' work is pushed."""
        return self.accounts.agent

    @property
    def say(self) -> Callable[[str], None]:
        """Return what shows a line of progress to the person."""
        return self.console.say

    @property
    def bot_author(self) -> Author:
        """Return the bot as a git author."""
        return Author(self.bot.account, f"{self.bot.account}@localhost")

    @property
    def agent_author(self) -> Author:
        """Return the agent as a git author."""
        return Author(self.agent.account, f"{self.agent.account}@localhost")

    def fetch(self) -> None:
        """Fetch all branches into the mirror."""
        self.mirror.fetch(self.accounts.bot_token)

    def main(self) -> str:
        """Return the head commit of the protected branch as of the last fetch."""
        commit = self.mirror.head(MAIN)
        if commit is None:
            self.fetch()
            commit = self.mirror.head(MAIN)
        return commit or ""

    def policies(self, commit: str | None = None) -> Policies:
        """Return the policies at a commit of the protected branch, by default its head."""
        return _policies(self.mirror, commit or self.main())

    def trust(self) -> Trust:
        """Return the trust root of the project as of the last fetch."""
        root = _trust_root(self.mirror, self.main())
        return trust_root.trusted(self.recorder.own, root, self.policies().scope.agents if root else ())


@functools.lru_cache(maxsize=16)
def _policies(mirror: Mirror, commit: str) -> Policies:
    """Return the policies at a commit; cached, because a commit never changes.

    A commit that carries a wheel of the factory is judged by that wheel, so its defaults stand in for absent files,
    also if another one is installed here: else nobody could ship the upgrade.
    """
    carried = mirror.tree(commit, f"{starter.TOOLKIT}/")
    wheel = wheel_upgrade.carried(frozenset(carried))
    return read.read(
        mirror.tree(commit, "policies/"), package=wheel_upgrade.package_of(carried[wheel]) if wheel else None
    )


@functools.lru_cache(maxsize=4)
def _trust_root(mirror: Mirror, commit: str) -> TrustRoot | None:
    """Return the project's own trust root at a commit; cached, because a commit never changes."""
    return trust_root.at(mirror, commit)
