"""A session, which is one claim of one issue, and the outcome of what the factory did."""

from dataclasses import dataclass
from pathlib import Path


def branches_of(issue: int) -> str:
    """Return how the branches of all sessions of an issue begin."""
    return f"factory/{issue}-"


@dataclass(frozen=True)
class Session:
    """One claim of one issue; ``folder`` contains the session's files on this machine."""

    id: str
    issue: int
    folder: Path

    @property
    def branch(self) -> str:
        """Return the branch with the session's commits."""
        return f"{branches_of(self.issue)}{self.id}"

    @property
    def worktree(self) -> Path:
        """Return the folder in which the agent works."""
        return self.folder / "worktree"

    def attempt(self, number: int) -> Path:
        """Return the folder of one attempt."""
        return self.folder / f"attempt-{number}"


@dataclass(frozen=True)
class Outcome:
    """The state in which an action left an issue or a merge request, with the numbers of what belongs to it.

    ``state`` is review, merged, superseded, planned, proven, verified or closed; ``manifest`` is the digest of a saved
    plan.
    """

    state: str
    issue: int | None = None
    merge_request: int | None = None
    pipeline: int | None = None
    manifest: str = ""
    release: str = ""
