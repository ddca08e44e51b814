"""The lease of an issue: a chain of commits on ``factory/leases/<issue>``.

Pushing a successor is a compare-and-swap, because GitLab refuses what is not a fast-forward; the chain's length is the
fencing token. Each commit carries the lease and the issue as it was frozen, so a lost machine loses neither.
"""

import enum
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from factory.errors import NotFound
from factory.system import clock
from factory.worktrees.repository import Author, Mirror

PREFIX = "factory/leases/"
# The holder of a lease that a person took over ends in this instead of a slot.
PERSON = "person"


@dataclass(frozen=True)
class Lease:
    """Who works on an issue, until when; ``commit`` is the chain's head, ``token`` its length."""

    issue: int
    session: str
    holder: str
    expires_at: str
    token: int
    released: bool = False
    commit: str = ""
    not_before: str = ""

    @property
    def branch(self) -> str:
        """Return the branch that holds the chain."""
        return f"{PREFIX}{self.issue}"


class Claim(enum.StrEnum):
    """What may be done about an issue's lease."""

    TAKE = "take"
    RESUME = "resume"
    HELD = "held"


def judge(lease: Lease | None, *, holder: str, now: datetime, holder_lives: bool) -> Claim:
    """Tell what ``holder`` may do: take a free lease, resume one of its own or of a dead sibling, or leave it. Pure.

    ``holder_lives`` tells whether the process that holds the lease is known to live on this machine.
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


def read(mirror: Mirror, issue: int) -> tuple[Lease, dict[str, Any]] | None:
    """Return an issue's lease and frozen text as of the last fetch, or ``None`` where it was never claimed."""
    commit = mirror.head(f"{PREFIX}{issue}")
    if commit is None:
        return None
    try:
        lease = json.loads(mirror.read(commit, "lease.json"))
        return Lease(**lease, commit=commit), json.loads(mirror.read(commit, "issue.json"))
    except (NotFound, ValueError, TypeError):
        return None


def write(mirror: Mirror, lease: Lease, frozen: dict[str, Any], *, author: Author, token: str) -> Lease:
    """Push the next lease of the chain on top of ``lease.commit``; raises ``Conflict`` where another came first."""
    value = {key: item for key, item in asdict(lease).items() if key != "commit"}
    files = {"lease.json": json.dumps(value, indent=1).encode(), "issue.json": json.dumps(frozen, indent=1).encode()}
    word = "release" if lease.released else "hold"
    message = f"{word} issue {lease.issue} for session {lease.session}\n"
    commit = mirror.commit(files, parent=lease.commit or None, message=message, author=author)
    mirror.push(commit, lease.branch, token)
    return Lease(**value, commit=commit)
