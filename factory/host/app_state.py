"""Keeps the state of apps: a folder for each, the migrations that were run on it, and backups as archives."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from factory.apps import migrating
from factory.apps.running import RunMachine
from factory.errors import InvalidInput, NotFound, ToolFailed
from factory.system import clock, data, files

_STATE, _BACKUPS, _WORK = "state", "backups", "work"
_RECORD, _FILES = "state.json", "files"
_PENDING, _PART = ".restore", ".part"
# How many backups that migrations made of an app are kept.
_KEPT = 5
_SECONDS = 1800.0


@dataclass(frozen=True)
class Migrated:
    """The app of a state, and the releases whose migrations were run on it, in their order."""

    app: str
    releases: tuple[str, ...] = ()


class AppStates:
    """The states of the apps of one environment, below a folder that releases can't reach but for their own."""

    def __init__(self, folder: Path, machine: RunMachine) -> None:
        self._folder, self._machine = folder, machine
        self._work = folder / _WORK / str(os.getpid())

    def recover(self) -> None:
        """Finish a restore that was interrupted, and delete what other programs left that were killed."""
        for pending in (self._folder / _WORK).glob(f"*{_PENDING}"):
            self._finish(pending.stem, pending)
        for left in (self._folder / _WORK).glob("*"):
            if left == self._work or not Path("/proc", left.name).exists():
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

    def migrate(self, app: str, release: str, run: Callable[[Path], str]) -> str:
        """Run a release's migration on the state, unless that was done; return the backup's name, empty without one.

        ``run`` migrates a folder. It gets a copy first, so that a migration that fails changes nothing; an app without
        a state yet has nothing to copy. Raises ``ToolFailed``.
        """
        done, backup = self.migrated(app), ""
        if release in done.releases:
            return ""
        state = files.private_folder(self.folder(app))
        if any(state.iterdir()):
            with self._copied(app) as copy:
                backup = self._pack(app, copy, self._backup(app, release)).name
                try:
                    run(copy)
                except ToolFailed as error:
                    raise ToolFailed(f"{error}\n  It ran on a copy; the state is as it was.") from error
            self._prune(app)
        try:
            run(state)
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
        if not self.folder(app).is_dir():
            known = ", ".join(self.apps()) or "none"
            raise NotFound(f"{app} has no state here", hint=f"Apps with a state (`state: true` in app.yml): {known}.")
        with self._copied(app) as copy:
            self._pack(app, copy, target)

    @contextmanager
    def unpacked(self, app: str, backup: Path) -> Iterator[Path]:
        """Yield a folder with the state that a backup has; raises ``InvalidInput`` for what is no backup of the app."""
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
        with self.unpacked(app, backup) as found:
            kept = self._backup(app, "restore")
            self.backup(app, kept)
            found.parent.rename(pending)
        self._finish(app, pending)
        self._prune(app)
        return kept

    def _finish(self, app: str, pending: Path) -> None:
        """Put an unpacked backup in the place of the state. Each step may run again: a restore goes only forward."""
        if (pending / _FILES).exists():
            files.remove_tree(self.folder(app))
            (pending / _FILES).rename(files.private_folder(self.folder(app).parent) / app)
        if (pending / _RECORD).exists():
            files.write_atomic(self._record(app), files.read_bytes(pending / _RECORD))
        files.remove_tree(pending)

    @contextmanager
    def _copied(self, app: str) -> Iterator[Path]:
        copy = files.private_folder(self._work) / f"{app}.copy"
        try:
            migrating.copy(self.folder(app), copy, self._machine, seconds=_SECONDS)
            yield copy
        finally:
            files.remove_tree(copy)

    def _record(self, app: str) -> Path:
        return self._folder / _STATE / f"{app}.json"

    def _backup(self, app: str, why: str) -> Path:
        stamp = clock.timestamp().replace(":", "").replace(".", "")
        return files.private_folder(self._folder / _BACKUPS) / f"{app}.{stamp}.before-{why}.tar.gz"

    def _prune(self, app: str) -> None:
        for path in self.backups(app)[:-_KEPT]:
            path.unlink()

    def _pack(self, app: str, copy: Path, target: Path) -> Path:
        part = target.with_name(f".{target.name}.{os.getpid()}{_PART}")
        try:
            part.touch(mode=0o600, exist_ok=False)
            with tarfile.open(part, mode="w:gz") as archive:
                record = data.write(self.migrated(app))
                entry = tarfile.TarInfo(_RECORD)
                entry.size = len(record)
                archive.addfile(entry, io.BytesIO(record))
                archive.add(copy, _FILES)
            part.replace(target)
        except OSError as error:
            raise ToolFailed(f"the backup {target} can't be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return target

    def _unpack(self, app: str, backup: Path, folder: Path) -> Path:
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
        return files.private_folder(folder / _FILES)


def _write(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    """Write an entry below a folder; nothing is written through a link, and links stay links."""
    path = PurePosixPath(entry.name)
    if path.parts[:1] != (_FILES,) or ".." in path.parts or any((folder / part).is_symlink() for part in path.parents):
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
