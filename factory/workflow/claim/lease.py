"""The lease of an issue: a chain of commits on ``factory/leases/<issue>``.

GitLab refuses a push that is not a fast-forward, so only one process can push the next commit. The length of the chain
is the fencing token. Each commit has the lease and the frozen issue, so both survive the loss of a machine.
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
# The last part of the holder if a person took over the lease; otherwise it is the slot number.
PERSON = "person"


@dataclass(frozen=True)
class Lease:
    """Who works on an issue until when; ``commit`` is the head of the chain, ``token`` its length."""

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


def read(mirror: Mirror, issue: int) -> tuple[Lease, dict[str, Any]] | None:
    """Return an issue's lease and frozen text as of the last fetch, or ``None`` if it was never claimed."""
    commit = mirror.head(f"{PREFIX}{issue}")
    if commit is None:
        return None
    try:
        lease = json.loads(mirror.read(commit, "lease.json"))
        return Lease(**lease, commit=commit), json.loads(mirror.read(commit, "issue.json"))
    except (NotFound, ValueError, TypeError):
        return None


def write(mirror: Mirror, lease: Lease, frozen: dict[str, Any], *, author: Author, token: str) -> Lease:
    """Push the next lease on top of ``lease.commit``; raises ``Conflict`` if another process pushed first."""
    value = {key: item for key, item in asdict(lease).items() if key != "commit"}
    files = {"lease.json": json.dumps(value, indent=1).encode(), "issue.json": json.dumps(frozen, indent=1).encode()}
    word = "release" if lease.released else "hold"
    message = f"{word} issue {lease.issue} for session {lease.session}\n"
    commit = mirror.commit(files, parent=lease.commit or None, message=message, author=author)
    mirror.push(commit, lease.branch, token)
    return Lease(**value, commit=commit)
