"""Supervises a running agent: renews the lease, reads a person's signals and detects a lack of progress."""

from factory.model.agent import Reason
from factory.model.session import Session
from factory.system import clock
from factory.workflow.claim.held_lease import HeldLease
from factory.workflow.session import control, escalation, transcript
from factory.worktrees import worktree

_LOOK_SECONDS = 5.0


class Supervisor:
    """Supervises one attempt. Call ``look`` several times per second; it reads the worktree every five seconds."""

    def __init__(self, session: Session, held_lease: HeldLease, number: int, *, idle_turns: int) -> None:
        self._session = session
        self._held_lease = held_lease
        self._calls = transcript.Calls(session.attempt(number))
        self._idle_turns = idle_turns
        self._samples: list[escalation.Sample] = []
        self._looked = clock.monotonic()

    def look(self) -> tuple[Reason, str] | None:
        """Return why the attempt must end now, or ``None``; raises ``Conflict`` if the lease was lost."""
        self._held_lease.keep()
        if ended := control.ending(control.read(self._session.folder)):
            return ended
        if clock.monotonic() - self._looked < _LOOK_SECONDS:
            return None
        self._looked = clock.monotonic()
        self._samples.append(escalation.Sample(self._calls.count(), worktree.state(self._session.worktree)))
        stuck = escalation.stuck(self._samples, idle_turns=self._idle_turns)
        return (Reason.NO_PROGRESS, stuck) if stuck else None
