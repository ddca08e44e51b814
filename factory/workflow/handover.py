"""A person takes a session over and hands it back: whose commit, what it changed, and what the agent is told of it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory.model.agent import Reason
from factory.model.session import Session
from factory.system import files
from factory.workflow import brief
from factory.workflow.context import Context
from factory.workflow.record import record

PERSON = "person"
_FILE = "handover.json"


@dataclass(frozen=True)
class Handover:
    """What a person committed in a session: after which attempt of the agent's, on which base, and in how many lines.

    ``attempt`` is the attempt that their work stands for where they are ``done``, else 0: then the agent goes on.
    """

    attempt: int
    after: int
    by: str
    base: str
    head: str
    files: int
    added: int
    removed: int
    summary: str


def read(folder: Path) -> Handover | None:
    """Return the latest handover of a session, or ``None``."""
    path = folder / _FILE
    return Handover(**json.loads(files.read_text(path))) if path.exists() else None


def keep(folder: Path, handed: Handover) -> None:
    """Keep a handover with its session."""
    files.write_atomic(folder / _FILE, json.dumps(asdict(handed), indent=1).encode())


def as_made(handed: Handover) -> dict[str, Any]:
    """Return what an attempt came to that a person made."""
    return {
        "base": handed.base,
        "head": handed.head,
        "reason": Reason.DONE_FOR_REVIEW.value,
        "detail": f"handed back by {handed.by}",
        "seconds": 0.0,
        "usage": {},
        "level": "host",
        "limits": {},
        "message": "",
        "agent": {"name": PERSON, "version": handed.by, "model": None, "brief": brief.version()},
        "cost": {"usd_micros": 0, "prices": None, "source": "provider"},
        "calls": 0,
        "resume": "",
        "reset_at": "",
        "rung": "again",
        "question": None,
        "outputs": [],
    }


def record_one(context: Context, session: Session, handed: Handover) -> None:
    """Record who committed what in a session instead of its agent."""
    record(
        context,
        "handover",
        issue=session.issue,
        subjects={"commit": f"gitCommit:{handed.head}"},
        predicate={
            "key": f"handover/{session.issue}/{session.id}/{handed.head[:12]}",
            "session": session.id,
            "attempt": handed.after,
            "by": handed.by,
            "base": handed.base,
            "head": handed.head,
            "files": handed.files,
            "added": handed.added,
            "removed": handed.removed,
        },
    )
