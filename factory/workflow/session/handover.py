"""Hands a session that a person took over back to the factory: commits the changes and tells the agent about them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from factory.errors import NotFound
from factory.model.agent import Reason
from factory.model.attempt import AgentRef, AttemptResult
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.system import files
from factory.workflow.context import Context
from factory.workflow.recorder import record
from factory.workflow.session import brief, results
from factory.worktrees import worktree
from factory.worktrees.repository import Author

PERSON = "person"
# The trailer in a person's commit; its value is the agent's attempt that the commit follows.
TRAILER = "Factory-Handover"
_FILE, _RESUME = "handover.json", "resume.json"
_LONGEST_DIFF, _MOST_FILES = 6000, 200


@dataclass(frozen=True)
class Handover:
    """A person's commit in a session: the agent's attempt before it, its base, and its size.

    ``attempt`` is the number of the attempt that the commit completes, or 0 if the agent continues the work.
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


def hand_back(
    context: Context, session: Session, frozen: FrozenIssue, *, after: int, author: Author, done: bool
) -> Handover | None:
    """Commit a person's changes in a session's worktree under their name; returns ``None`` if nothing changed.

    Commits that the person made there count as well. Raises ``Refused`` for files that the factory does not commit.
    """
    path = session.worktree
    last = _result_of(session, after)
    base = last.head or context.main()
    trailers = {"Issue": f"#{frozen.iid}", "Spec": frozen.spec, "Factory-Session": session.id}
    trailers |= {"Factory-Attempt": str(after + 1)} if done else {TRAILER: str(after)}
    if worktree.changed_paths(path):
        text = worktree.message(frozen.title, f"> by {author.name}, who took the session over", trailers)
        worktree.commit_all(path, message=text, author=author)
    head = worktree.head(path)
    if head == base and not done:
        return None
    changed = worktree.numbers(path, base, head)
    summary = (
        f"{author.name} took over and handed back. They changed:\n\n{_told(changed)}\n\n{_shown(path, base, head)}"
    )
    made = Handover(
        attempt=after + 1 if done else 0,
        after=after,
        by=author.name,
        base=base,
        head=head,
        files=len(changed),
        added=sum(item[1] for item in changed),
        removed=sum(item[2] for item in changed),
        summary=summary,
    )
    record_one(context, session, made)
    keep(session.folder, made)
    return made


def _told(changed: Sequence[tuple[str, int, int]]) -> str:
    """Return a line for each changed file, up to a number that a person and an agent read."""
    lines = [f"- {name}: {added} lines added, {removed} removed" for name, added, removed in changed[:_MOST_FILES]]
    left = len(changed) - len(lines)
    return "\n".join([*lines, *([f"- and {left} more files"] if left else [])])


def _shown(path: Path, base: str, head: str) -> str:
    """Return the difference as a block of Markdown; a long one is cut, and a line below says so."""
    diff, longer = worktree.diff(path, base, head, most=_LONGEST_DIFF)
    cut = f"\n\nThe difference is longer; `git diff {base[:12]} {head[:12]}` shows the whole." if longer else ""
    return f"~~~~\n{diff.rstrip()}\n~~~~{cut}"


def begin_again(session: Session, number: int) -> str:
    """Rename the folder of the cancelled attempt, so that it runs again; returns the agent's session id to resume."""
    folder = session.attempt(number)
    last = _result_of(session, number)
    files.write_atomic(session.folder / _RESUME, json.dumps({last.agent.name: last.resume}).encode())
    count = sum(1 for other in files.subfolders(session.folder) if other.name.startswith(f"{folder.name}-ended-"))
    folder.rename(folder.with_name(f"{folder.name}-ended-{count + 1}"))
    return last.resume


def _result_of(session: Session, number: int) -> AttemptResult:
    """Return the result of an attempt that ended on this machine; raises ``NotFound``."""
    found = results.read(session.attempt(number))
    if found is None:
        raise NotFound(
            f"attempt {number} of session {session.id} has no result on this machine",
            hint="Go on on the machine that ran the attempt; `factory session list` shows the sessions of this one.",
        )
    return found


def resumable(folder: Path, agent: str) -> str:
    """Return the agent's own session id that a person asked to resume; only the first call returns it."""
    path = folder / _RESUME
    if not path.exists():
        return ""
    found = json.loads(files.read_text(path))
    path.unlink()
    return str(found.get(agent, ""))


def result(handed: Handover) -> AttemptResult:
    """Return the result of an attempt that a person made."""
    return AttemptResult(
        attempt=handed.attempt,
        base=handed.base,
        head=handed.head,
        reason=Reason.DONE_FOR_REVIEW,
        detail=f"handed back by {handed.by}",
        agent=AgentRef(PERSON, handed.by, None, brief.version()),
    )


def record_one(context: Context, session: Session, handed: Handover) -> None:
    """Record as evidence who committed which changes in place of the agent."""
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
