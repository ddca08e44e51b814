"""A session's hold on its issue: the lease read, renewed and let go."""

from dataclasses import replace

from factory.errors import Conflict, NotFound
from factory.model.issue import FrozenIssue
from factory.model.session import Session
from factory.system import clock
from factory.workflow.claim import lease
from factory.workflow.context import Context


class HeldLease:
    """One session's lease; ``minutes`` is how long it lasts unless renewed."""

    def __init__(self, context: Context, session: Session, *, minutes: int) -> None:
        self._context = context
        self._session = session
        self._minutes = minutes
        self._renewed = clock.monotonic()

    def frozen(self) -> FrozenIssue:
        """Return the issue as it was frozen at the claim; raises ``NotFound``."""
        return self._read()[1]

    def first(self) -> lease.Lease:
        """Return the lease with the commit by which this session took the issue."""
        held = self._read()[0]
        messages = self._context.mirror.messages(held.commit)
        mine = [commit for commit, text in messages if self._session.id in text]
        return replace(held, commit=mine[-1] if mine else held.commit)

    def assert_held(self) -> None:
        """Raise ``Conflict`` where another session or process has taken the issue over."""
        held, _ = self._read()
        if held.session != self._session.id or held.released or held.holder != self._context.holder:
            raise Conflict(f"session {self._session.id} no longer holds #{self._session.issue}")

    def keep(self) -> None:
        """Renew the lease once a third of its time has passed, so that long work does not lose it."""
        if clock.monotonic() - self._renewed < self._minutes * 20:
            return
        self._context.fetch()
        self.assert_held()
        held, frozen = self._read()
        expires = clock.iso(clock.after(self._minutes * 60))
        self._write(replace(held, expires_at=expires, token=held.token + 1), frozen)
        self._renewed = clock.monotonic()

    def give_to_person(self, *, hours: int) -> None:
        """Leave the issue to a person on this machine, who hands it back."""
        self._context.fetch()
        self.assert_held()
        held, frozen = self._read()
        holder = f"{held.holder.rpartition('/')[0]}/{lease.PERSON}"
        expires = clock.iso(clock.after(hours * 3600))
        self._write(replace(held, holder=holder, expires_at=expires, token=held.token + 1), frozen)

    def release(self, *, not_before: str = "") -> None:
        """Let the issue go; a lease that is released, or another's by now, stays as it is.

        ``not_before`` is the moment before which nobody takes it again.
        """
        self._context.fetch()
        held, frozen = self._read()
        if not held.released and held.session == self._session.id:
            released = replace(held, released=True, token=held.token + 1, not_before=not_before)
            self._write(released, frozen)

    def _read(self) -> tuple[lease.Lease, FrozenIssue]:
        found = lease.read(self._context.mirror, self._session.issue)
        if found is None:
            raise NotFound(f"the lease of #{self._session.issue} is gone")
        return found[0], FrozenIssue.from_json(found[1])

    def _write(self, changed: lease.Lease, frozen: FrozenIssue) -> None:
        context = self._context
        lease.write(context.mirror, changed, frozen.to_json(), author=context.bot_author, token=context.bot_token)
