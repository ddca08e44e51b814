"""Reads, renews and releases the lease of a session."""

from dataclasses import replace

from factory.errors import Conflict, NotFound
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.system import clock
from factory.workflow.claim import lease
from factory.workflow.context import Context


class HeldLease:
    """One session's lease; it expires after ``minutes`` unless renewed."""

    def __init__(self, context: Context, session: Session, *, minutes: int) -> None:
        self._context = context
        self._session = session
        self._minutes = minutes
        self._renewed = clock.monotonic()

    def frozen(self) -> FrozenIssue:
        """Return the issue text as frozen when it was claimed; raises ``NotFound``."""
        return self._read()[1]

    def first(self) -> lease.Lease:
        """Return the lease with the commit in which this session claimed the issue."""
        held = self._read()[0]
        messages = self._context.mirror.messages(held.commit)
        mine = [commit for commit, text in messages if self._session.id in text]
        return replace(held, commit=mine[-1] if mine else held.commit)

    def assert_held(self) -> None:
        """Raise ``Conflict`` if another session or process has taken over the issue."""
        held, _ = self._read()
        if held.session != self._session.id or held.released or held.holder != self._context.machine.holder:
            raise Conflict(f"session {self._session.id} no longer holds #{self._session.issue}")

    def keep(self) -> None:
        """Renew the lease after a third of its time, so that it does not expire during long work."""
        if clock.monotonic() - self._renewed < self._minutes * 20:
            return
        self._context.fetch()
        self.assert_held()
        held, frozen = self._read()
        expires = clock.iso(clock.after(self._minutes * 60))
        self._write(replace(held, expires_at=expires, token=held.token + 1), frozen)
        self._renewed = clock.monotonic()

    def give_to_person(self, *, hours: int) -> None:
        """Give the lease to a person on this machine for ``hours``, until they hand it back."""
        self._context.fetch()
        self.assert_held()
        held, frozen = self._read()
        holder = f"{held.holder.rpartition('/')[0]}/{lease.PERSON}"
        expires = clock.iso(clock.after(hours * 3600))
        self._write(replace(held, holder=holder, expires_at=expires, token=held.token + 1), frozen)

    def release(self, *, not_before: str = "") -> None:
        """Release the lease, unless it is released already or belongs to another session.

        No session takes the issue again before the time ``not_before``.
        """
        self._context.fetch()
        held, frozen = self._read()
        if not held.released and held.session == self._session.id:
            released = replace(held, released=True, token=held.token + 1, not_before=not_before)
            self._write(released, frozen)

    def _read(self) -> tuple[lease.Lease, FrozenIssue]:
        found = lease.read(self._context.mirror, self._session.issue)
        if found is None:
            raise NotFound(
                f"#{self._session.issue} has no lease",
                hint="The lease's branch was deleted on GitLab. `factory work` claims the issue again.",
            )
        return found

    def _write(self, changed: lease.Lease, frozen: FrozenIssue) -> None:
        context = self._context
        lease.write(context.mirror, changed, frozen, author=context.bot_author, token=context.accounts.bot_token)
