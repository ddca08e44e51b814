"""Keeps the state of apps: a folder and a database for each, the migrations that were run on it, and backups.

An app has a database if the host has a secret ``DATABASE_URL`` of it that names one of PostgreSQL.
"""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from factory.apps import migrating, postgresql
from factory.apps.postgresql import Database
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, NotFound, ToolFailed
from factory.host.app_secrets import AppSecrets
from factory.system import clock, data, files, log

_STATE, _BACKUPS, _WORK = "state", "backups", "work"
_RECORD, _FILES, _DUMP = "state.json", "files", "database.dump"
_PENDING, _PART = ".restore", ".part"
# How many backups that migrations made of an app are kept.
_KEPT = 5
_SECONDS = 1800.0


@dataclass(frozen=True)
class Migrated:
    """The app of a state, and the releases whose migrations were run on it, in their order."""

    app: str
    releases: tuple[str, ...] = ()


@dataclass(frozen=True)
class StateCopy:
    """A copy of an app's state: the folder with its files, and the dump of its database if it has one."""

    files: Path
    dump: Path | None


class AppStates:
    """The states of the apps of one environment, below a folder that releases can't reach but for their own."""

    def __init__(self, folder: Path, machine: RunMachine) -> None:
        self._folder, self._machine, self._secrets = folder, machine, AppSecrets(folder)
        self._work = folder / _WORK / str(os.getpid())

    def recover(self) -> None:
        """Finish a restore that was interrupted, and delete what other programs left that were killed."""
        for pending in (self._folder / _WORK).glob(f"*{_PENDING}"):
            try:
                self.finish(pending.stem)
            except ToolFailed as error:  # as PostgreSQL may not run yet: the app's releases wait for it
                log.event("host.restore_waits", app=pending.stem, reason=str(error))
        for left in (self._folder / _WORK).glob("*"):
            running = left != self._work and Path("/proc", left.name).exists()
            if left.is_dir() and left.suffix != _PENDING and not running:
                files.remove_tree(left)
        for part in (self._folder / _BACKUPS).glob(f".*{_PART}"):
            part.unlink()

    def folder(self, app: str) -> Path:
        """Return the folder that all releases of an app share; no release's end deletes it."""
        return self._folder / _STATE / app

    def migrated(self, app: str) -> Migrated:
        """Return which migrations were run on an app's state."""
        path = self._record(app)
        return data.read(Migrated, files.read_bytes(path), source=str(path)) if path.exists() else Migrated(app)

    def migrate(self, app: str, release: str, run: Callable[[Path, Mapping[str, str]], str]) -> str:
        """Run a release's migration on the state, unless that was done; return the backup's name, empty without one.

        ``run`` migrates a folder, and the database that the variables name. It gets a copy first, so that a migration
        that fails changes nothing; an app without a state yet has nothing to copy. Raises ``ToolFailed``.
        """
        done, backup = self.migrated(app), ""
        if release in done.releases:
            return ""
        state = files.private_folder(self.folder(app))
        if any(state.iterdir()) or self._database(app):
            with self._copied(app) as copy:
                backup = self._pack(app, copy, self._backup(app, release)).name
                try:
                    with self._usable(app, copy) as variables:
                        run(copy.files, variables)
                except ToolFailed as error:
                    raise ToolFailed(f"{error}\n  It ran on a copy; the state is as it was.") from error
            self._prune(app)
        try:
            run(state, {})
        except ToolFailed as error:
            raise ToolFailed(f"{error}\n  It had worked on a copy; the state before is the backup {backup}.") from error
        files.write_atomic(self._record(app), data.write(Migrated(app, (*done.releases, release))))
        return backup

    def apps(self) -> list[str]:
        """Return the apps that have a state."""
        return sorted(path.name for path in (self._folder / _STATE).glob("*") if path.is_dir())

    def backups(self, app: str) -> list[Path]:
        """Return the backups that migrations and restores made of an app's state, the oldest first."""
        return sorted((self._folder / _BACKUPS).glob(f"{app}.*.tar.gz"))

    def backup(self, app: str, target: Path) -> None:
        """Write a backup of an app's state to a new file, also while the app runs.

        Raises ``NotFound`` if the app has no state, ``ToolFailed``.
        """
        if not self.folder(app).is_dir() and self._database(app) is None:
            known = ", ".join(self.apps()) or "none"
            raise NotFound(f"{app} has no state here", hint=f"Apps with a state: {known}.")
        with self._copied(app) as copy:
            self._pack(app, copy, target)

    @contextmanager
    def opened(self, app: str, backup: Path) -> Iterator[tuple[Path, Mapping[str, str]]]:
        """Yield a folder with the state that a backup has, and the variables that name a database with what it has.

        Raises ``InvalidInput`` for what is no backup of the app, and ``ToolFailed``.
        """
        with self._unpacked(app, backup) as copy, self._usable(app, copy) as variables:
            yield copy.files, variables

    @contextmanager
    def _unpacked(self, app: str, backup: Path) -> Iterator[StateCopy]:
        folder = files.private_folder(self._work / f"{app}.new")
        try:
            yield self._unpack(app, backup, folder)
        finally:
            files.remove_tree(folder)

    def restore(self, app: str, backup: Path) -> Path:
        """Replace an app's state by that of a backup, while no release of the app runs; return a backup of the old one.

        Raises ``InvalidInput`` for what is no backup of the app, and ``ToolFailed``.
        """
        pending = self._folder / _WORK / f"{app}{_PENDING}"
        files.private_folder(self.folder(app))
        with self._unpacked(app, backup) as found:
            if (found.dump is None) != (self._database(app) is None):
                why = f"has a database, and {app} has no secret {postgresql.VARIABLE} here"
                raise InvalidInput(f"{backup.name} {why if found.dump else f'has no database, and {app} has one here'}")
            with self._usable(app, found):
                pass  # a dump that fills no database would keep the app from ever starting
            kept = self._backup(app, "restore")
            self.backup(app, kept)
            files.remove_tree(pending)  # of a restore that waits: this one is the person's later word
            found.files.parent.rename(pending)
        self.finish(app)
        self._prune(app)
        return kept

    def finish(self, app: str) -> None:
        """Finish an interrupted restore of an app, if there is one; until then none of its releases may start.

        Each step may run again: a restore goes only forward. Raises ``ToolFailed``.
        """
        pending = self._folder / _WORK / f"{app}{_PENDING}"
        if not pending.exists():
            return
        if (dump := pending / _DUMP).exists():
            if (database := self._database(app)) is None:
                raise ToolFailed(f"a restore of {app} waits for its secret {postgresql.VARIABLE}")
            with self._only():
                postgresql.replace_by(database, dump, path=self._machine.path)
            dump.unlink()
        if (pending / _FILES).exists():
            files.remove_tree(self.folder(app))
            (pending / _FILES).rename(files.private_folder(self.folder(app).parent) / app)
        if (pending / _RECORD).exists():
            files.write_atomic(self._record(app), files.read_bytes(pending / _RECORD))
        files.remove_tree(pending)

    @contextmanager
    def _copied(self, app: str) -> Iterator[StateCopy]:
        folder = files.private_folder(self._work / f"{app}.copy")
        dump = folder / _DUMP
        try:
            state = files.private_folder(self.folder(app))
            migrating.copy(state, folder / _FILES, self._machine, seconds=_SECONDS)
            if database := self._database(app):
                postgresql.dump(database, dump, path=self._machine.path)
            yield StateCopy(folder / _FILES, dump if database else None)
        finally:
            files.remove_tree(folder)

    @contextmanager
    def _usable(self, app: str, copy: StateCopy) -> Iterator[Mapping[str, str]]:
        """Yield the variables that name a database with what the dump has; it is gone afterwards."""
        with ExitStack() as held:
            database = self._database(app)
            if copy.dump is None or database is None:
                yield {}
                return
            held.enter_context(self._only())
            made = held.enter_context(postgresql.copied(database, copy.dump, path=self._machine.path))
            yield {postgresql.VARIABLE: made.url}

    def _only(self) -> AbstractContextManager[None]:
        """Return the lock of the copies of databases, whose names are fixed."""
        return files.locked(files.private_folder(self._folder / _WORK) / ".databases.lock")

    def _database(self, app: str) -> Database | None:
        """Return an app's database; raises ``ToolFailed`` if its URL cannot be used."""
        url = self._secrets.all(app).get(postgresql.VARIABLE, "")
        return postgresql.of_url(url) if url.startswith(postgresql.SCHEMES) else None

    def _record(self, app: str) -> Path:
        return self._folder / _STATE / f"{app}.json"

    def _backup(self, app: str, why: str) -> Path:
        stamp = clock.timestamp().replace(":", "").replace(".", "")
        return files.private_folder(self._folder / _BACKUPS) / f"{app}.{stamp}.before-{why}.tar.gz"

    def _prune(self, app: str) -> None:
        for path in self.backups(app)[:-_KEPT]:
            path.unlink()

    def _pack(self, app: str, copy: StateCopy, target: Path) -> Path:
        part = target.with_name(f".{target.name}.{os.getpid()}{_PART}")
        try:
            part.touch(mode=0o600, exist_ok=False)
            with tarfile.open(part, mode="w:gz") as archive:
                record = data.write(self.migrated(app))
                entry = tarfile.TarInfo(_RECORD)
                entry.size = len(record)
                archive.addfile(entry, io.BytesIO(record))
                archive.add(copy.files, _FILES)
                if copy.dump:
                    archive.add(copy.dump, _DUMP)
            part.replace(target)
        except OSError as error:
            raise ToolFailed(f"the backup {target} can't be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return target

    def _unpack(self, app: str, backup: Path, folder: Path) -> StateCopy:
        problem = f"{backup.name} is not a backup of {app}"
        try:
            with tarfile.open(backup, mode="r:gz") as archive:
                first = archive.next()
                stream = archive.extractfile(first) if first is not None and first.name == _RECORD else None
                content = stream.read(1 << 20) if stream else b"{}"
                if data.parse(Migrated, content, source=_RECORD).app != app:
                    raise InvalidInput(problem)
                files.write_new(folder / _RECORD, content)
                while (entry := archive.next()) is not None:
                    _write(archive, entry, folder)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InvalidInput(f"{problem}: {error}") from error
        dump = folder / _DUMP
        return StateCopy(files.private_folder(folder / _FILES), dump if dump.exists() else None)


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    """Write an entry below a folder; nothing is written through a link, and links stay links."""
    path = PurePosixPath(entry.name)
    known = path.parts[:1] == (_FILES,) or (entry.name == _DUMP and entry.isreg())
    if not known or ".." in path.parts or any((folder / part).is_symlink() for part in path.parents):
        raise InvalidInput(f"the backup has the path {entry.name!r}")
    target = folder / path
    if entry.isdir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o700)
    elif entry.issym():
        target.symlink_to(entry.linkname)
    elif entry.isreg() and (stream := archive.extractfile(entry)) is not None:
        with target.open("xb") as file:
            shutil.copyfileobj(stream, file)
        target.chmod(entry.mode & 0o700 | 0o600)
    else:
        raise InvalidInput(f"the backup has {entry.name!r}, which is neither a file, a link nor a folder")
