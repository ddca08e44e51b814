"""The lease of an issue: a chain of commits on ``factory/leases/<issue>``.

GitLab refuses a push that is not a fast-forward, so only one process can push the next commit. The length of the chain
is the fencing token. Each commit has the lease and the frozen issue, so both survive the loss of a machine.
"""

import enum
from dataclasses import dataclass, fields
from datetime import datetime

from factory.errors import InvalidInput, NotFound
from factory.model.issue import FrozenIssue
from factory.system import clock, data
from factory.worktrees.repository import Author, Mirror

PREFIX = "factory/leases/"
# The last part of the holder if a person took over the lease; otherwise it is the slot number.
PERSON = "person"


@dataclass(frozen=True)
class _Written:
    """The content of the file ``lease.json``."""

    issue: int
    session: str
    holder: str
    expires_at: str
    token: int
    released: bool = False
    not_before: str = ""


@dataclass(frozen=True)
class Lease(_Written):
    """Who works on an issue until when; ``commit`` is the head of the chain, ``token`` its length."""

    commit: str = ""

    @property
    def branch(self) -> str:
        """Return the branch that has the chain."""
        return f"{PREFIX}{self.issue}"


class Claim(enum.StrEnum):
    """What a process may do with an issue's lease."""

    TAKE = "take"
    RESUME = "resume"
    HELD = "held"


def judge(lease: Lease | None, *, holder: str, now: datetime, holder_lives: bool) -> Claim:
    """Decide whether ``holder`` may take, resume or must leave the lease. Pure.

    It may take a released lease, and resume its own, an expired one, or that of a dead process of the same instance.
    ``holder_lives`` is true if the process that has the lease runs on this machine.
    """
    if lease is None or lease.released:
        waits = lease is not None and lease.not_before and clock.parse(lease.not_before) > now
        return Claim.HELD if waits else Claim.TAKE
    if lease.holder == holder:
        return Claim.RESUME
    sibling = lease.holder.rpartition("/")[0] == holder.rpartition("/")[0]
    if sibling:
        return Claim.HELD if holder_lives else Claim.RESUME
    return Claim.RESUME if clock.parse(lease.expires_at) <= now else Claim.HELD


def read(mirror: Mirror, issue: int) -> tuple[Lease, FrozenIssue] | None:
    """Return an issue's lease and frozen text as of the last fetch, or ``None`` if it was never claimed."""
    commit = mirror.head(f"{PREFIX}{issue}")
    if commit is None:
        return None
    try:
        written = data.read(_Written, mirror.read(commit, "lease.json"), source="lease.json")
        frozen = data.read(FrozenIssue, mirror.read(commit, "issue.json"), source="issue.json")
        return Lease(**vars(written), commit=commit), frozen
    except (NotFound, InvalidInput):
        return None


def write(mirror: Mirror, lease: Lease, frozen: FrozenIssue, *, author: Author, token: str) -> Lease:
    """Push the next lease on top of ``lease.commit``; raises ``Conflict`` if another process pushed first."""
    written = _Written(**{item.name: getattr(lease, item.name) for item in fields(_Written)})
    files = {"lease.json": data.write(written), "issue.json": data.write(frozen)}
    word = "release" if lease.released else "hold"
    message = f"{word} issue {lease.issue} for session {lease.session}\n"
    commit = mirror.commit(files, parent=lease.commit or None, message=message, author=author)
    mirror.push(commit, lease.branch, token)
    return Lease(**vars(written), commit=commit)
