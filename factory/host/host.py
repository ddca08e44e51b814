"""One environment's releases on this machine: what the evidence orders is fetched, started and kept running."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from factory.errors import FactoryError, ToolFailed
from factory.evidence.transparency_log import BRANCH
from factory.evidence.trust import Trust
from factory.host import orders, requests
from factory.host.orders import Orders
from factory.host.requests import Restored
from factory.host.retries import Retries
from factory.host.runnable import Release
from factory.host.sockets import Sockets
from factory.host.status import STATUS, HostedRelease, HostStatus
from factory.host.supervisor import Supervisor
from factory.system import clock, data, files
from factory.worktrees.repository import Mirror

# In the folder of a host: the lock of the program that works there, and what its releases need.
LOCK, RELEASES = "host.lock", "releases"


@dataclass(frozen=True)
class Source:
    """Where a host reads: the project's mirror with a read token, its trust root, and the archive of a release.

    ``trust`` is called after the mirror was fetched.
    """

    project: str
    environment: str
    mirror: Mirror
    token: str
    trust: Callable[[], Trust]
    archive: Callable[[Release], bytes]


class Host:
    """Runs the releases that the evidence of one environment orders, and no others.

    ``folder`` keeps the newest checkpoint and the status; ``say`` receives a line for each change, and ``announce`` the
    status after each look that could read the evidence. ``problem`` is why it could not be read, or announced.
    """

    def __init__(
        self,
        source: Source,
        supervisor: Supervisor,
        sockets: Sockets,
        folder: Path,
        say: Callable[[str], None],
        announce: Callable[[HostStatus], None] | None = None,
    ) -> None:
        self._source, self._supervisor, self._sockets = source, supervisor, sockets
        self._folder, self._say, self._announce = files.private_folder(folder), say, announce
        self._retries = Retries(say)
        self._orders, self._read = Orders(), ""
        self._head: str | None = ""
        self._unwritten = ""
        self.problem: FactoryError | None = None

    def start_stored(self) -> None:
        """Start what ran before this program, also with GitLab away; the digests are checked."""
        for kept in self._supervisor.listing():
            self._retries.attempt(kept.name, partial(self._run, kept.name))
        self._write()

    def look(self) -> HostStatus:
        """Read the evidence again, and start and stop what it says; return the status, which is also written.

        With GitLab away or evidence that does not hold, what runs goes on, and the status has the problem.
        """
        source = self._source
        problem: FactoryError | None = None
        try:
            source.mirror.fetch(source.token)
            self._read_orders(source.mirror.head(BRANCH))
            self._read = clock.timestamp()
        except FactoryError as error:
            problem = error
        else:
            self._follow()
            problem = self._announced()
        if _text(problem) != _text(self.problem):
            self._say(_text(problem) or "the evidence can be read again")
        self.problem = problem
        return self._write()

    def _announced(self) -> FactoryError | None:
        """Announce the status; return why that failed."""
        if self._announce is not None:
            try:
                self._announce(self._write())
            except FactoryError as error:
                return error
        return None

    def _read_orders(self, head: str | None) -> None:
        """Read the orders, unless they are of this commit of the evidence: verifying a long log takes seconds."""
        if head is None or head != self._head:
            source = self._source
            self._orders = orders.read(
                source.mirror, source.trust(), self._folder, project=source.project, environment=source.environment
            )
            self._head = head

    def restart_ended(self) -> None:
        """Start each release that has ended, or whose restart was asked; who ends again and again waits ever longer.

        A release that keeps more on disk than it may is stopped, and waits too.
        """
        for name, why in self._supervisor.stop_overfull().items():
            self._retries.failed(name, ToolFailed(f"the release was stopped: {why}"))
        for app, backup in requests.restores(self._folder):
            requests.answer(self._folder, app, self._restored(app, backup))
        stored, asked = self._supervisor.listing(), requests.taken(self._folder)
        for name in asked:  # also one that could not be started, and is tried again at the next look
            self._retries.forget(name)
        for kept in stored:
            if kept.name in asked:
                self._supervisor.stop(kept.name)
                self._say(f"{kept.name} is started again, as was asked")
            if self._supervisor.running(kept.name) is None:
                self._retries.attempt(kept.name, partial(self._run, kept.name))
                self._write()

    def _restored(self, app: str, backup: Path) -> Restored:
        try:
            before = self._supervisor.restore(app, backup)
        except (FactoryError, OSError) as error:
            return Restored(problem=str(error))
        self._retries.forget_app(app)
        self._say(f"the state of {app} is that of {backup}; the one before is {before}")
        return Restored(str(before))

    def close(self) -> None:
        """Stop every release."""
        self._sockets.close()
        self._supervisor.close()

    def _follow(self) -> None:
        """Start what the orders name and is not there, then stop what they no longer name."""
        stored = {kept.name: f"sha256:{kept.sha256}" for kept in self._supervisor.listing()}
        for release in self._orders.releases:
            self._retries.attempt(release.name, partial(self._take, release, stored))
        wanted = {release.name for release in self._orders.releases}
        for name in sorted(stored.keys() - wanted):
            self._sockets.remove(name)
            self._supervisor.remove(name)
            self._retries.forget(name)
            self._say(f"{name} is removed: later releases are deployed")

    def _take(self, release: Release, stored: Mapping[str, str]) -> None:
        if stored.get(release.name, release.archive) != release.archive:  # as another project's of the same folder
            self._supervisor.remove(release.name)
            stored = {}
        if release.name not in stored:
            self._supervisor.keep(release.name, self._source.archive(release))
        self._run(release.name)

    def _run(self, name: str) -> None:
        before = self._supervisor.running(name)
        socket = before or self._supervisor.socket(name)
        self._sockets.publish(name, socket, lambda: self._supervisor.running(name) is not None)
        if before is None:
            self._say(f"{name} runs")

    def _write(self) -> HostStatus:
        archives = {release.name: release.archive for release in self._orders.releases}
        archives |= {kept.name: f"sha256:{kept.sha256}" for kept in self._supervisor.listing()}
        releases = tuple(self._shown(name, archive) for name, archive in sorted(archives.items()))
        source, log = self._source, self._orders
        status = HostStatus(
            source.project, source.environment, log.size, log.root, self._read, releases, _text(self.problem)
        )
        try:
            files.write_atomic(self._folder / STATUS, data.write(status))
            unwritten = ""
        except FactoryError as error:  # what runs goes on, and the file says what was
            unwritten = str(error)
        if unwritten and unwritten != self._unwritten:
            self._say(unwritten)
        self._unwritten = unwritten
        return status

    def _shown(self, name: str, archive: str) -> HostedRelease:
        why = self._retries.why(name)
        ready = not why and self._supervisor.running(name) is not None
        role = self._orders.roles.get(name, "")
        return HostedRelease(name, archive, ready, str(self._sockets.path(name)), why, role)


def _text(problem: FactoryError | None) -> str:
    return "" if problem is None else str(problem)
