"""A session: one claim of one issue."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Session:
    """One claim of one issue; ``folder`` contains the session's files on this machine."""

    id: str
    issue: int
    folder: Path

    @property
    def branch(self) -> str:
        """Return the branch with the session's commits."""
        return f"factory/{self.issue}-{self.id}"

    @property
    def worktree(self) -> Path:
        """Return the folder in which the agent works."""
        return self.folder / "worktree"

    def attempt(self, number: int) -> Path:
        """Return the folder of one attempt."""
        return self.folder / f"attempt-{number}"
