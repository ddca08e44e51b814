"""What every step is given: connections, mirror, recorder, and how to talk to the person."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory.evidence.sign import Signer
from factory.evidence.trust import Trust
from factory.gitlab.connect import Connection
from factory.model.gitlab import MAIN
from factory.policies import read
from factory.policies.model import Policies
from factory.worktrees.repository import Author, Mirror

SIMULATED_APPROVER = "rehearsal"
# Folders in which agents look for settings; they list them, so a missing one is empty rather than unreadable.
AGENT_FOLDERS = (".claude", ".codex", ".gemini", ".opencode", ".agents", ".cursor")
PROTECTED_IN_WORKTREE = (
    ".git",
    ".gitlab-ci.yml",
    "policies",
    "factory",
    "scripts",
    "specs",
    "pyproject.toml",
    # Where agents look for instructions, settings and tools of their own.
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
class Context:
    """One factory at work; tokens are held here and nowhere else.

    ``alone`` says that one account is person and factory. ``wheels`` and ``npm`` are folders of packages on this
    machine that agents may install from.
    """

    bot: Connection
    agent: Connection
    bot_token: str
    agent_token: str
    mirror: Mirror
    state: Path
    holder: str
    signer: Signer
    trust: Trust
    env: Mapping[str, str]
    readable: tuple[Path, ...]
    say: Callable[[str], None]
    timed: Callable[[str, float], None]
    simulator: bool
    alone: bool = False
    agent_name: str | None = None
    agents_path: str = ""
    wheels: Path | None = None
    npm: Path | None = None
    interactive: bool = False
    credential: Callable[[str], str] = lambda _: ""

    @property
    def bot_author(self) -> Author:
        """Return the bot as git's author."""
        return Author(self.bot.account, f"{self.bot.account}@localhost")

    @property
    def agent_author(self) -> Author:
        """Return the agent as git's author."""
        return Author(self.agent.account, f"{self.agent.account}@localhost")

    def fetch(self) -> None:
        """Bring the mirror up to date."""
        self.mirror.fetch(self.bot_token)

    def main(self) -> str:
        """Return the protected branch's commit as of the last fetch."""
        commit = self.mirror.head(MAIN)
        if commit is None:
            self.fetch()
            commit = self.mirror.head(MAIN)
        return commit or ""

    def policies(self, commit: str | None = None) -> Policies:
        """Return the policies of a commit of the protected branch; by default of its head."""
        return _policies(self.mirror, commit or self.main())


@functools.lru_cache(maxsize=16)
def _policies(mirror: Mirror, commit: str) -> Policies:
    """Return the policies of a commit, which never change."""
    return read.read(mirror.tree(commit, "policies/"))
