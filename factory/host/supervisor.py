"""Supervises releases: stores their archives on disk, and runs each behind the launch door on a unix socket.

Stored releases survive a restart of the server; their processes do not. Methods wait for the release; call them from a
thread. One thread at a time works on one release.
"""

import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock

from factory.apps import migrating, release_log, running
from factory.apps.archive import ReleaseManifest
from factory.apps.running import RunMachine, RunningRelease
from factory.errors import Conflict, InvalidInput, NotFound, ToolFailed
from factory.host.app_secrets import AppSecrets
from factory.host.app_state import AppStates
from factory.host.sockets import short_folder
from factory.model.release import KeptRelease
from factory.system import clock, data, files, log

NAME = re.compile(r"[a-z][a-z0-9-]{1,62}")
_STARTS_PER_WINDOW = 4
_WINDOW_SECONDS = 60.0
_MEASURE_SECONDS = 2.0
_MIGRATION_SECONDS = 1800.0
_RUNS, _LOGS = "running", "logs"
_KEPT = "Only what was deployed here is kept; `factory deploy list` shows the deployments."


class Supervisor:
    """Stores and runs releases by name, in a folder of its own.

    A release must be healthy within ``health_seconds``, and may go on for ``grace_seconds`` after SIGTERM.
    """

    def __init__(
        self, folder: Path, machine: RunMachine, *, health_seconds: float = 10.0, grace_seconds: float = 10.0
    ) -> None:
        self._folder = files.private_folder(folder)
        self._machine = machine
        self._health_seconds, self._grace_seconds = health_seconds, grace_seconds
        self._sockets, self._measured = short_folder(folder), 0.0
        self.states, self.secrets = AppStates(folder, machine), AppSecrets(folder)
        self._running: dict[str, RunningRelease] = {}
        self._starts: defaultdict[str, deque[float]] = defaultdict(deque)
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)
        self._clean()

    def keep(self, name: str, archive: bytes) -> bool:
        """Store and start a release; return ``False`` if the same bytes are already stored.

        Raises ``InvalidInput`` if the name or the archive is malformed, or the release does not become healthy (it is
        then not stored), and ``Conflict`` if the name has other bytes.
        """
        if not NAME.fullmatch(name):
            raise InvalidInput(f"a release's name must match ^{NAME.pattern}$")
        digest = hashlib.sha256(archive).hexdigest()
        with self._locks[name]:
            known = self._record(name)
            if known is not None and known.sha256 != digest:
                raise Conflict(f"the release {name} exists with other bytes (sha256 {known.sha256})")
            if known is not None:
                return False
            files.write_atomic(self._archive(name), archive)
            try:
                self._start(name)
            except (ToolFailed, InvalidInput) as error:
                self._delete(name)
                raise InvalidInput(str(error)) from error
            files.write_atomic(self._path(name), data.write(KeptRelease(name, digest, clock.timestamp())))
            return True

    def running(self, name: str) -> Path | None:
        """Return the socket of a release if it runs; returns at once."""
        found = self._running.get(name)
        return found.socket if found is not None and found.alive else None

    def socket(self, name: str) -> Path:
        """Return the socket of a release; start the release if it does not run.

        Raises ``NotFound`` for an unknown name, ``ToolFailed`` if the release can't be started.
        """
        with self._locks[name]:
            return self.running(name) or self._start_again(name)

    def listing(self) -> list[KeptRelease]:
        """Return every stored release, in the order in which they were stored: later ones have later migrations."""
        found = [self.show(path.stem) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda item: (item.created_on, item.name))

    def show(self, name: str) -> KeptRelease:
        """Return a stored release; raises ``NotFound``."""
        known = self._record(name)
        if known is None:
            raise NotFound(f"the release {name} does not exist", hint=_KEPT)
        return replace(known, state=_RUNS) if self.running(name) else known

    def remove(self, name: str) -> None:
        """Stop and delete a release; raises ``NotFound``."""
        with self._locks[name]:
            self.show(name)
            self._end(name)
            self._forget(name)

    def stop(self, name: str) -> None:
        """Stop a release, if it runs; it stays stored."""
        with self._locks[name]:
            self._end(name)

    def stop_overfull(self) -> dict[str, str]:
        """Stop each release that keeps more on disk than it may; return why, by name. It looks every few seconds."""
        if clock.monotonic() < self._measured + _MEASURE_SECONDS:
            return {}
        self._measured = clock.monotonic()
        found = {name: why for name, release in list(self._running.items()) if (why := release.overfull())}
        for name, why in found.items():
            self.stop(name)
            log.event("host.release_overfull", release=name, reason=why)
        return found

    def close(self) -> None:
        """Stop every release; all have the same time for it."""
        for found in list(self._running.values()):
            found.terminate()
        until = clock.monotonic() + self._grace_seconds
        for name in list(self._running):
            self._stop(name, until=until)
        files.remove_tree(self._sockets)

    def _start_again(self, name: str) -> Path:
        known = self.show(name)
        starts = self._starts[name]
        while starts and starts[0] < clock.monotonic() - _WINDOW_SECONDS:
            starts.popleft()
        if len(starts) >= _STARTS_PER_WINDOW:
            raise ToolFailed(f"the release {name} was started {len(starts)} times within {_WINDOW_SECONDS:g} s")
        if hashlib.sha256(files.read_bytes(self._archive(name))).hexdigest() != known.sha256:
            raise ToolFailed(f"the stored file of the release {name} was changed (expected sha256 {known.sha256})")
        return self._start(name)

    def _start(self, name: str) -> Path:
        self._stop(name)
        self._starts[name].append(clock.monotonic())
        self.states.finish(app_of(name))
        archive, folder = files.read_bytes(self._archive(name)), self._folder / "unpacked" / name
        for earlier in (folder, self._place(name)):
            files.remove_tree(earlier)
        manifest = running.unpack(archive, folder)
        place, kept, state = self._place(name), self._log(name), self.states.folder(app_of(name))
        given = self.secrets.of(app_of(name), manifest.secrets)
        if manifest.migrate:
            self._migrate(name, manifest, given)
        found = running.start(
            folder, manifest, self._machine, name=name, place=place, log=kept, variables=given, state=state
        )
        try:
            running.await_health(found, seconds=self._health_seconds)
        except BaseException as error:
            found.stop()
            log.event("host.release_failed", release=name, reason=str(error))
            raise
        self._running[name] = found
        log.event("host.release_started", release=name)
        return found.socket

    def _migrate(self, name: str, manifest: ReleaseManifest, given: Mapping[str, str]) -> None:
        """Run the release's migration, unless it was; the release before it serves on."""
        folder, place = self._folder / "unpacked" / name, self._place(name)

        def run(state: Path, of_copy: Mapping[str, str]) -> str:
            return migrating.migrate(
                folder,
                manifest,
                self._machine,
                name=name,
                place=place,
                state=state,
                variables={**given, **of_copy},
                seconds=_MIGRATION_SECONDS,
            )

        backup = self.states.migrate(app_of(name), name, run)
        log.event("host.migrated", release=name, backup=backup)

    def restore(self, app: str, backup: Path) -> Path:
        """Replace an app's state by a backup's; its releases are stopped meanwhile. Return a backup of the old state.

        Raises ``InvalidInput`` for what is no backup of the app, and ``ToolFailed``.
        """
        with ExitStack() as held:
            for kept in self.listing():
                if app_of(kept.name) == app:
                    held.enter_context(self._locks[kept.name])
                    self._end(kept.name)
            return self.states.restore(app, backup)

    def _end(self, name: str) -> None:
        """Let a release end by itself, and stop it if it does not."""
        found = self._running.get(name)
        if found is not None:
            found.terminate()
            self._stop(name, until=clock.monotonic() + self._grace_seconds)

    def _stop(self, name: str, *, until: float = 0) -> None:
        found = self._running.pop(name, None)
        if found is not None:
            found.stop(until=until)

    def _forget(self, name: str) -> None:
        self._delete(name)
        release_log.remove(self._log(name))

    def _delete(self, name: str) -> None:
        """Delete a release but for its log, which says why it did not start."""
        self._stop(name)
        self._starts.pop(name, None)
        for path in (self._path(name), self._archive(name)):
            path.unlink(missing_ok=True)
        for folder in (self._folder / "unpacked" / name, self._place(name)):
            files.remove_tree(folder)

    def _clean(self) -> None:
        """Delete what a program that was killed had begun to store, and the logs of what it did not store."""
        self.states.recover()
        stored = {path.stem for path in self._folder.glob("*.json")}
        for path in self._folder.iterdir():
            if path.is_file() and (path.name.startswith(".") or path.stem not in stored):
                path.unlink()
        for log_file in logs(self._folder):
            if log_file.stem not in stored:
                release_log.remove(log_file)

    def _record(self, name: str) -> KeptRelease | None:
        path = self._path(name)
        return data.read(KeptRelease, files.read_bytes(path), source=str(path)) if path.exists() else None

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _archive(self, name: str) -> Path:
        return self._folder / f"{name}.archive"

    def _log(self, name: str) -> Path:
        return self._folder / _LOGS / f"{name}.log"

    def _place(self, name: str) -> Path:
        return self._sockets / hashlib.sha256(name.encode()).hexdigest()[:8]


def app_of(release: str) -> str:
    """Return the app of a release."""
    return release.rpartition("-")[0]


def logs(folder: Path) -> list[Path]:
    """Return the logs of the releases that a supervisor keeps in a folder; each has its release's name."""
    return sorted((folder / _LOGS).glob("*.log"))
