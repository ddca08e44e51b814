"""Runs the hosts of an embedded instance, in threads of its servers: one for each environment that main has."""

import threading
from functools import partial
from pathlib import Path

from factory.apps.running import RunMachine
from factory.errors import FactoryError
from factory.evidence.transparency_log import BRANCH
from factory.evidence.trust import Trust, TrustedHost
from factory.gitlab import branches
from factory.host import archives
from factory.host.announcement import Announcement, own_key
from factory.host.host import LOCK, RELEASES, Host, Source
from factory.host.sockets import Sockets, short_folder
from factory.host.supervisor import Supervisor
from factory.instance.workspace import HOST, Workspace
from factory.model.gitlab import MAIN
from factory.operations import trust_root
from factory.system import clock, files, log
from factory.terraform.stacks import LIVE
from factory.worktrees.repository import Mirror

# The host's name, under which it says what it runs.
NAME = "embedded"
# Seconds between two looks whether a release has ended, until the evidence is read again after a problem, and without a
# change.
_PAUSE, _AGAIN, _LONGEST = 0.5, 2.0, 15.0
# Seconds for which a release that is stopped may go on.
_GRACE = 3.0


def folder(workspace: Workspace, environment: str) -> Path:
    """Return where the host of an environment keeps its state."""
    return workspace.state / "hosts" / environment


def sockets_folder(workspace: Workspace) -> Path:
    """Return the folder in which each environment has a folder of its releases' sockets."""
    return short_folder(workspace.state / "sockets")


def trusted(workspace: Workspace) -> dict[str, TrustedHost]:
    """Return the hosts of the instance's trust root; the host's key is made the first time."""
    return {NAME: TrustedHost(own_key(workspace.state / "hosts").public)}


class EmbeddedHosts:
    """The hosts of one instance. They begin once the instance is provisioned, and end with ``close``.

    ``pushed`` is set by the GitLab of the instance after each push, and cleared here.
    """

    def __init__(self, workspace: Workspace, machine: RunMachine, pushed: threading.Event) -> None:
        self._workspace, self._machine, self._pushed = workspace, machine, pushed
        self._ended = threading.Event()
        self._moved: dict[str, threading.Event] = {}
        # A release ends with the thread that started it, so each host keeps its own.
        self._threads = [threading.Thread(target=self._watch, name="hosts")]
        self._threads[0].start()

    def close(self) -> None:
        """Stop every release."""
        self._ended.set()
        self._pushed.set()
        for moved in self._moved.values():
            moved.set()
        for thread in list(self._threads):
            thread.join()

    def _watch(self) -> None:
        """Tell the hosts when the evidence has changed, and start one for each new environment."""
        seen: str | None = ""
        while not self._ended.is_set():
            self._pushed.wait(_AGAIN)
            self._pushed.clear()
            if self._ended.is_set() or not (self._workspace.token_folder / HOST).exists():
                continue
            try:
                connection = self._workspace.connection(HOST)
                now = branches.head(connection, BRANCH)
                if now != seen:
                    for environment in branches.folders(connection, MAIN, LIVE):
                        self._begin(environment)
                    for moved in self._moved.values():
                        moved.set()
                seen = now
            except FactoryError as error:
                log.event("hosts.problem", problem=str(error))

    def _begin(self, environment: str) -> None:
        if environment not in self._moved and not self._ended.is_set():
            self._moved[environment] = threading.Event()
            thread = threading.Thread(target=partial(self._keep, environment), name=f"host {environment}")
            self._threads.append(thread)
            thread.start()

    def _keep(self, environment: str) -> None:
        """Run the releases of an environment until the end; what fails as a whole begins again."""
        while not self._ended.is_set():
            try:
                self._run(environment)
            except (FactoryError, OSError) as error:
                log.event("hosts.problem", environment=environment, problem=str(error))
                self._ended.wait(_AGAIN)

    def _run(self, environment: str) -> None:
        moved, place = self._moved[environment], files.private_folder(folder(self._workspace, environment))
        with files.locked(place / LOCK):
            host, due = self._host(environment, place), clock.monotonic()
            try:
                host.start_stored()
                while not self._ended.is_set():
                    if moved.is_set() or clock.monotonic() >= due:
                        moved.clear()
                        host.look()
                        due = clock.monotonic() + (_AGAIN if host.problem else _LONGEST)
                    moved.wait(_PAUSE)
                    host.restart_ended()
            finally:
                host.close()

    def _host(self, environment: str, place: Path) -> Host:
        workspace = self._workspace
        connection, token = workspace.connection(HOST), workspace.token(HOST)
        project = workspace.record.project
        mirror = Mirror(place / "repository.git", f"{workspace.url}/{project}.git")
        mirror.ensure()
        return Host(
            Source(
                project, environment, mirror, token, partial(self._trust, mirror), partial(archives.fetch, connection)
            ),
            Supervisor(place / RELEASES, self._machine, grace_seconds=_GRACE),
            Sockets(sockets_folder(workspace) / environment),
            place,
            lambda line: log.event("host.says", environment=environment, line=line),
            Announcement(mirror, token, NAME, own_key(workspace.state / "hosts")).publish,
        )

    def _trust(self, mirror: Mirror) -> Trust:
        """Return the trust root of the project: this machine is the person's own, and follows main."""
        own = Trust.read(files.read_bytes(self._workspace.state / "trust.json"), source="trust.json")
        head = mirror.head(MAIN)
        return trust_root.trusted_at(mirror, head, own) if head else own
