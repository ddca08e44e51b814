"""A session: one claim of one issue."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Session:
    """One claim of one issue; ``folder`` holds what is kept of it on this machine."""

    id: str
    issue: int
    folder: Path

    @property
    def branch(self) -> str:
        """The branch that carries the session's work."""
        return f"factory/{self.issue}-{self.id}"

    @property
    def worktree(self) -> Path:
        """The folder in which the agent works."""
        return self.folder / "worktree"

    def attempt(self, number: int) -> Path:
        """Return the folder of one attempt."""
        return self.folder / f"attempt-{number}"
