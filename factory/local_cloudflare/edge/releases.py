"""Supervises releases: stores Python zipapps on disk and runs each on its own loopback port."""

import asyncio
import hashlib
import io
import re
import zipfile
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from factory.errors import Conflict, InvalidInput, NotFound, ToolFailed
from factory.local_cloudflare.store import Store
from factory.system import clock, files, log, ports, process

NAME = re.compile(r"[a-z][a-z0-9-]{1,62}")

_HOST = "127.0.0.1"
_PATH = "/usr/bin:/bin"
_PORTS_TRIED = 3
_POLL_SECONDS = 0.02
_PROBE_SECONDS = 1.0
_STARTS_PER_WINDOW = 4
_WINDOW_SECONDS = 60.0
_LOG_TAIL = 2000


@dataclass(frozen=True)
class ReleaseProcess:
    """A release's process, and the loopback port that it listens on."""

    group: process.Group
    port: int

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.group.popen.poll() is None


class Supervisor:
    """Stores and runs releases by name. Stored releases survive a restart of the server; their processes do not."""

    def __init__(self, folder: Path, store: Store, *, python: str, health_seconds: float) -> None:
        self._folder = files.private_folder(folder)
        self._store = store
        self._python = python
        self._health_seconds = health_seconds
        self._running: dict[str, ReleaseProcess] = {}
        self._starts: defaultdict[str, deque[float]] = defaultdict(deque)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def keep(self, name: str, data: bytes) -> bool:
        """Store and start a release; return ``False`` if the same bytes are already stored.

        Raises ``InvalidInput`` if it is not a zipapp or does not become healthy (it is then not stored), and
        ``Conflict`` if the name has other bytes.
        """
        digest = hashlib.sha256(data).hexdigest()
        async with self._locks[name]:
            known = self._store.get("release", name)
            if known is not None and known["sha256"] != digest:
                raise Conflict(f"the release {name} exists with other bytes (sha256 {known['sha256']})")
            if known is not None:
                return False
            _check_zipapp(data)
            files.write_atomic(self._artifact(name), data)
            try:
                await self._start(name)
            except ToolFailed as error:
                self._artifact(name).unlink(missing_ok=True)
                self._starts.pop(name, None)
                raise InvalidInput(str(error)) from error
            with self._store.transaction():
                release = {"name": name, "sha256": digest, "created_on": clock.timestamp()}
                self._store.put("release", name, release, name=name)
            return True

    async def port(self, name: str) -> int:
        """Return the port of a release; start the release if it is not running.

        Raises ``NotFound`` for an unknown name, ``ToolFailed`` if the release can't be started.
        """
        running = self._running.get(name)
        if running is not None and running.alive:
            return running.port
        async with self._locks[name]:
            running = self._running.get(name)
            if running is not None and running.alive:
                return running.port
            return await self._start_again(name)

    async def replaced(self, name: str, port: int) -> int:
        """Return the new port of a release if nothing listens on ``port``; start the release again if necessary.

        Raises the same errors as ``port``.
        """
        async with self._locks[name]:
            running = self._running.get(name)
            if running is not None and running.alive and running.port != port:
                return running.port
            return await self._start_again(name)

    def listing(self) -> list[dict[str, Any]]:
        """Return every release: name, sha256, created_on, state (``running`` or ``stopped``), port or ``None``."""
        return [self._shown(release) for release in self._store.find("release")]

    def show(self, name: str) -> dict[str, Any]:
        """Return one release as ``listing`` does; raises ``NotFound``."""
        release = self._store.get("release", name)
        if release is None:
            raise NotFound(f"the release {name} does not exist")
        return self._shown(release)

    async def remove(self, name: str) -> None:
        """Stop and delete a release; raises ``NotFound``."""
        async with self._locks[name]:
            self.show(name)
            self._stop(name)
            with self._store.transaction():
                self._store.delete("release", name)
            self._artifact(name).unlink(missing_ok=True)
            self._log(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop every release's process."""
        for name in list(self._running):
            self._stop(name)

    async def _start_again(self, name: str) -> int:
        release = self.show(name)
        self._check_rate(name)
        if hashlib.sha256(files.read_bytes(self._artifact(name))).hexdigest() != release["sha256"]:
            raise ToolFailed(f"the stored file of the release {name} was changed (expected sha256 {release['sha256']})")
        return (await self._start(name)).port

    async def _start(self, name: str) -> ReleaseProcess:
        self._stop(name)
        self._starts[name].append(clock.monotonic())
        for _ in range(_PORTS_TRIED):
            running = self._spawn(name)
            try:
                reason = await self._unhealthy(running)
            except BaseException:
                running.group.kill()  # a cancelled request must not leave a process running
                raise
            if reason is None:
                self._running[name] = running
                log.event("local_cloudflare.release_started", release=name, port=running.port)
                return running
            died = not running.alive
            running.group.kill()
            if ports.is_free(running.port) or not died:
                break
        log.event("local_cloudflare.release_failed", release=name, reason=reason)
        raise ToolFailed(f"the release {name} {reason}{self._last_words(name)}")

    def _spawn(self, name: str) -> ReleaseProcess:
        port = ports.free(1)[0]
        env = {"PATH": _PATH, "HOST": _HOST, "PORT": str(port), "RELEASE": name}
        with self._log(name).open("wb") as output:
            group = process.start(
                [self._python, "-I", str(self._artifact(name))],
                env=env,
                cwd=self._folder,
                stdout=output,
                stderr=output,
            )
        return ReleaseProcess(group, port)

    async def _unhealthy(self, running: ReleaseProcess) -> str | None:
        """Wait until ``GET /health`` answers 200; return ``None``, or the reason why it did not within the limit."""
        deadline = clock.monotonic() + self._health_seconds
        probe = aiohttp.ClientTimeout(total=min(_PROBE_SECONDS, self._health_seconds))
        last = "did not listen"
        async with aiohttp.ClientSession(timeout=probe) as session:
            while clock.monotonic() < deadline:
                if not running.alive:
                    return f"ended with {running.group.popen.returncode} before it was healthy"
                try:
                    async with session.get(f"http://{_HOST}:{running.port}/health") as answer:
                        # Checked again, because another process may have taken the port.
                        if answer.status == 200 and running.alive:  # noqa: PLR2004 - HTTP's own number
                            return None
                        last = f"answered {answer.status} to GET /health"
                except TimeoutError:
                    last = "did not answer GET /health"
                except aiohttp.ClientError:
                    last = "did not listen on PORT"
                await asyncio.sleep(_POLL_SECONDS)
        return f"{last} within {self._health_seconds:g} s"

    def _check_rate(self, name: str) -> None:
        starts = self._starts[name]
        while starts and starts[0] < clock.monotonic() - _WINDOW_SECONDS:
            starts.popleft()
        if len(starts) >= _STARTS_PER_WINDOW:
            raise ToolFailed(f"the release {name} was started {len(starts)} times within {_WINDOW_SECONDS:g} s")

    def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is not None:
            running.group.kill()

    def _shown(self, release: dict[str, Any]) -> dict[str, Any]:
        running = self._running.get(release["name"])
        alive = running is not None and running.alive
        return release | {
            "state": "running" if alive else "stopped",
            "port": running.port if running and alive else None,
        }

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_bytes()[-_LOG_TAIL:].decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _artifact(self, name: str) -> Path:
        return self._folder / f"{name}.pyz"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def _check_zipapp(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if "__main__.py" not in archive.namelist():
                raise InvalidInput("the archive has no __main__.py")
            if archive.testzip() is not None:
                raise InvalidInput("the archive is damaged")
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InvalidInput(f"the body is not a Python zipapp: {error}") from error
