"""Builds a recording of a session from its transcripts, requests and commits."""

import re
from collections.abc import Sequence
from pathlib import Path

from factory.agents import outputs
from factory.agents.recording import Attempt, Maker, Recording, Tokens, Turn, paths, turns, without
from factory.checks import leaks
from factory.errors import InvalidInput, NotFound, Refused
from factory.model.attempt import AttemptResult
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.system import data, files
from factory.workflow.claim import lease
from factory.workflow.session import handover, launch_plan, redaction, results, transcript
from factory.workflow.session.handover import Handover
from factory.worktrees import patch
from factory.worktrees.repository import Mirror

_ISSUE = re.compile(r"^Issue: #(\d+)$", re.MULTILINE)


def make(mirror: Mirror, folder: Path, name: str, *, secrets: Sequence[str]) -> Recording:
    """Return the recording of the session ``name`` in ``folder``, without ``secrets``.

    A person's commit after an attempt becomes a turn of that attempt. Raises ``NotFound`` if an attempt, its commit or
    the issue does not exist any more, and ``Refused`` if a patch has a secret or can't be text. Anything else that
    looks like a secret is redacted.
    """
    ended = results.read_all(folder)
    if [item.attempt for item in ended] != list(range(1, len(ended) + 1)) or not ended:
        raise NotFound(f"attempts of session {name} are missing here", hint="List them with `factory session show`.")
    frozen = _frozen(mirror, folder, name)
    handed = handover.read(folder)
    session = Session(name, frozen.iid, folder)
    attempts = tuple(_attempt(mirror, session, item, handed) for item in ended)
    for number, attempt in enumerate(attempts, 1):
        _check(number, attempt, secrets)
    found = without(Recording(frozen.spec, frozen.title, attempts, name), lambda text: redaction.redact(text, secrets))
    if found.title != frozen.title:
        raise Refused("the issue's title looks like a secret, so a recording can't contain it")
    return found


def _attempt(mirror: Mirror, session: Session, ended: AttemptResult, handed: Handover | None) -> Attempt:
    number = ended.attempt
    folder = session.attempt(number)
    events = transcript.events(folder)
    usage = Tokens.metered(ended.usage)
    found = turns(events, patch=_patch(mirror, number, ended.base, ended.head), usage=usage)
    if handed is not None and handed.after == number and not handed.attempt:
        changed = _patch(mirror, number, handed.base, handed.head)
        found = (*found, Turn("A person changed this.", patch=changed))
    by = ended.agent
    return Attempt(
        found,
        made_by=Maker(by.name, by.version, by.model or "", by.brief),
        base=ended.base,
        reason=ended.reason,
        question=ended.question or "",
        outputs=outputs.read(launch_plan.outputs_file(folder)).requests,
    )


def _patch(mirror: Mirror, number: int, base: str, head: str | None) -> str:
    """Return the patch between two commits; raises ``NotFound`` or ``Refused``."""
    if head is None:
        return ""
    for commit in (base, head):
        if mirror.resolve(commit) is None:
            raise NotFound(
                f"attempt {number}: its commit {commit[:12]} is no longer in the mirror",
                hint="Its branch was deleted or replaced on GitLab. Record another session of `factory session list`.",
            )
    return patch.between(mirror.path, base, head)


def _check(number: int, attempt: Attempt, secrets: Sequence[str]) -> None:
    """Raise ``Refused`` if a patch of an attempt can't be part of a recording."""
    for text in (turn.patch for turn in attempt.turns if turn.patch):
        for line, content in enumerate(text.splitlines(), 1):
            known = any(secret and secret in content for secret in secrets)
            found = "a credential of this factory" if known else next(leaks.shapes(content), None)
            if found:
                raise Refused(
                    f"attempt {number}: line {line} of its patch looks like a secret ({found})",
                    hint="Many people can read recordings, so a patch with a secret can't be part of one.",
                )
        try:
            paths(text)
        except InvalidInput as error:
            raise Refused(f"attempt {number}: {error}") from error


def _frozen(mirror: Mirror, folder: Path, name: str) -> FrozenIssue:
    """Return the issue as frozen by this session's lease, from the history of the lease's branch."""
    briefs = sorted(folder.glob("attempt-*/brief.md"))
    named = _ISSUE.search(files.read_text(briefs[0])) if briefs else None
    branch = f"{lease.PREFIX}{named.group(1)}" if named else ""
    head = mirror.head(branch) if branch else None
    for commit, text in mirror.messages(head) if head else ():
        if text.strip().endswith(f" for session {name}"):
            return data.read(FrozenIssue, mirror.read(commit, "issue.json"), source="issue.json")
    raise NotFound(
        f"the lease of session {name} is no longer in the mirror",
        hint="Its branch was deleted or replaced on GitLab. Record another session of `factory session list`.",
    )
