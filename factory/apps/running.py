"""Starts a release behind the launch door, and finds out whether it answers. A release listens on a unix socket.

If its program listens on a port, the port is on the loopback of its own network, and a relay stands before it.
"""

import http.client
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from string import Template
from threading import Thread

from factory.apps import archive, postgresql, release_log, unix_http
from factory.apps.archive import CODE, PACKAGES, ReleaseManifest
from factory.apps.build import node_version
from factory.apps.resolved import STATIC
from factory.errors import Refused, ToolFailed, ToolTimeout
from factory.sandbox import launch
from factory.sandbox.launch import Launch, Level, PreparedLaunch
from factory.sandbox.limits import Limits
from factory.system import clock, files, ports, process, process_tree

SOCKET = "app.sock"
_VENV = "venv"
_PYTHON = ".".join(map(str, sys.version_info[:2]))
_OPEN_FILES = 4096
_MIB = 2**20
# Seconds between two requests: until it listens, and once it answers something else.
_PAUSE, _LONGER, _PROBE = 0.05, 0.5, 2.0
_LOG_LINES, _BODY = 10, 200
# Seconds in which the last output of an ended release is read.
_LAST_OUTPUT = 2.0
# In a network of the release's own, every port is free.
_PORT = 8000


@dataclass(frozen=True)
class RunMachine:
    """What releases run with: the ``PATH`` of programs, the folders that they may read, the level that is needed."""

    path: str
    readable: tuple[Path, ...]
    required: Level = Level.HOST


@dataclass(frozen=True)
class RunningRelease:
    """A release that was started: its process, its manifest, its socket and its log."""

    manifest: ReleaseManifest
    place: Path
    group: process.Group = field(repr=False)
    prepared: PreparedLaunch = field(repr=False)
    log: Path
    writable: tuple[Path, ...]
    keeper: Thread = field(repr=False)

    @property
    def socket(self) -> Path:
        """The unix socket on which it answers."""
        return self.place / SOCKET

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.group.popen.poll() is None

    def overfull(self) -> str:
        """Return why its writable folders hold more than they may; empty if they don't. Raises nothing."""
        limit = self.manifest.disk_mb
        try:
            used = sum(map(files.space, self.writable)) // _MIB
        except Refused as error:  # what cannot be measured is too much
            return str(error)
        return f"it keeps {used} MiB on disk, and `limits.disk_mb` allows {limit}" if used > limit else ""

    def terminate(self) -> None:
        """Send it SIGTERM, so that it may answer what it was asked; ``stop`` ends it in the end."""
        if self.alive:
            process_tree.terminate(self.group.popen.pid)

    def stop(self, *, until: float = 0) -> None:
        """Kill it and what it started, and clean up; wait for its own end until a moment of the monotonic clock."""
        with suppress(ToolTimeout):
            self.group.wait(max(0.0, until - clock.monotonic()))
        self.group.kill()
        self.keeper.join(_LAST_OUTPUT)
        launch.put_back(self.prepared)

    def last_words(self) -> str:
        """Return the last lines of its log, each indented; empty if it wrote none."""
        if not self.alive:
            self.keeper.join(_LAST_OUTPUT)
        return "".join(f"\n  {line}" for line in release_log.lines(self.log, _LOG_LINES))


def unpack(packed: bytes, folder: Path) -> ReleaseManifest:
    """Write a release below a new folder, ready to be started; raises ``InvalidInput``, ``MachineError``.

    A Python release gets a virtual environment of its own packages (https://docs.python.org/3/library/venv.html).
    """
    manifest = archive.unpack(packed, folder)
    if manifest.kind == "python":
        interpreter = Path(os.path.realpath(process.python()))
        site = folder / _VENV / "lib" / f"python{_PYTHON}" / "site-packages"
        files.write_new(
            folder / _VENV / "pyvenv.cfg",
            f"home = {interpreter.parent}\ninclude-system-site-packages = false\n".encode(),
        )
        (folder / _VENV / "bin").mkdir()
        (folder / _VENV / "bin" / "python").symlink_to(interpreter)
        site.parent.mkdir(parents=True)
        if (folder / PACKAGES).is_dir():
            shutil.move(folder / PACKAGES, site)
    return manifest


def versions(path: str) -> dict[str, str]:
    """Return what this machine has of what a release may need; ``path`` is the ``PATH`` of its programs."""
    found = {"machine": platform.machine(), "python": _PYTHON}
    if process.find("node", path):
        found["node"] = node_version({"PATH": path})
    return found


def lacking(manifest: ReleaseManifest, has: Mapping[str, str]) -> list[str]:
    """Return what the release needs that this machine, with these versions by program, does not have."""
    return [
        f"{name} {wanted}, not {has.get(name, 'none')}"
        for name, wanted in manifest.needs.items()
        if has.get(name) != wanted
    ]


def start(
    folder: Path,
    manifest: ReleaseManifest,
    machine: RunMachine,
    *,
    name: str,
    place: Path,
    log: Path,
    variables: Mapping[str, str],
    state: Path,
) -> RunningRelease:
    """Start an unpacked release; ``place`` is its own writable folder, in which its socket is.

    ``state`` is the folder of an app that has one, and is made if it is missing. What it prints is kept in ``log``,
    which it can't reach. ``variables`` are added to those that the release names. Raises ``ToolFailed`` if the release
    needs what this machine lacks, ``SandboxUnavailable`` and ``MachineError``.
    """
    if missing := lacking(manifest, versions(machine.path) if manifest.needs else {}):
        raise ToolFailed(f"the release needs {', '.join(missing)}")
    files.private_folder(place)
    (place / SOCKET).unlink(missing_ok=True)
    port = _PORT if launch.probe(machine.path) else ports.free(1)[0]
    words = {"SOCKET": str(place / SOCKET), "PORT": str(port), "RELEASE": name}
    if manifest.state:
        words["STATE_DIRECTORY"] = str(files.private_folder(state))
    wanted = replace(
        launched(folder, manifest, machine, manifest.run, words=words, place=place, variables=variables),
        inlet=None if manifest.listen == "socket" else place / SOCKET,
        inlet_port=port,
    )
    prepared = launch.prepare(wanted)
    output, its_end = os.pipe()
    try:
        group = process.start(prepared.argv, env=prepared.env, cwd=prepared.cwd, stdout=its_end, stderr=process.STDOUT)
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(its_end)
    return RunningRelease(manifest, place, group, prepared, log, wanted.writable, release_log.keep(output, log))


def launched(
    folder: Path,
    manifest: ReleaseManifest,
    machine: RunMachine,
    command: Sequence[str],
    *,
    words: Mapping[str, str],
    place: Path,
    variables: Mapping[str, str],
) -> Launch:
    """Return how a command of an unpacked release is launched: confined, with its limits, and without a network.

    ``words`` are what the command and the release's variables may name: $RELEASE always, $SOCKET and $PORT if it
    listens, $STATE_DIRECTORY if it has state, whose folder it may write, beside ``place``.
    """
    listens: dict[str, str] = {}
    if manifest.listen == "socket" and "SOCKET" in words:
        listens = {"SOCKET": words["SOCKET"]}
    elif "PORT" in words:
        listens = {"HOST": "127.0.0.1", "PORT": words["PORT"]}
    own = {key: Template(value).safe_substitute(words) for key, value in manifest.variables.items()}
    kept = {"STATE_DIRECTORY": words["STATE_DIRECTORY"]} if "STATE_DIRECTORY" in words else {}
    env = {"PATH": machine.path, "HOME": str(place), "LANG": "C.UTF-8", "RELEASE": words["RELEASE"]}
    env |= {**listens, **own, **variables, **kept}
    if manifest.kind == "python":
        env |= {"VIRTUAL_ENV": str(folder / _VENV), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return Launch(
        _argv(folder, manifest, command, words),
        folder / CODE,
        env,
        writable=(place, *map(Path, kept.values())),
        readable=(folder, *machine.readable, *_sockets(manifest, variables)),
        required=machine.required,
        limits=Limits(
            memory_bytes=manifest.memory_mb * _MIB,
            processes=manifest.processes,
            file_bytes=manifest.disk_mb * _MIB,
            open_files=_OPEN_FILES,
        ),
    )


def _sockets(manifest: ReleaseManifest, variables: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folder of the socket of the release's database."""
    url = variables.get(postgresql.VARIABLE) if manifest.database else None
    return (postgresql.of_url(url).folder,) if url else ()


def _argv(
    folder: Path, manifest: ReleaseManifest, command: Sequence[str], values: Mapping[str, str]
) -> tuple[str, ...]:
    program, *words = (Template(word).safe_substitute(values) for word in command)
    if program == STATIC:
        return (
            process.python(),
            "-I",
            "-m",
            "factory.apps.static_site",
            str(folder / CODE / words[0]),
            values["SOCKET"],
        )
    if manifest.kind != "python":
        own = folder / CODE / program
        return (str(own) if own.is_file() else program, *words)
    python = str(folder / _VENV / "bin" / "python")
    if program in {"python", "python3"}:
        return (python, *words)
    scripts = list((folder / _VENV).glob(f"lib/*/site-packages/bin/{Path(program).name}"))
    return (python, str(scripts[0]), *words) if scripts else (program, *words)


def await_health(running: RunningRelease, *, seconds: float) -> None:
    """Wait until ``GET`` of the health path answers 200.

    Raises ``ToolFailed`` after some seconds, or when the release has ended, saying why: status, start of the body, and
    the last lines of its log.
    """
    deadline, said = clock.monotonic() + seconds, "did not listen"
    path = running.manifest.health
    while clock.monotonic() < deadline:
        pause = _PAUSE
        if not running.alive:
            said = f"ended with {running.group.popen.returncode} before it answered"
            break
        try:
            status, body = unix_http.get(running.socket, path, seconds=_PROBE)
        except TimeoutError:
            said = f"did not answer GET {path}"
        except (OSError, http.client.HTTPException):
            pass
        else:
            if status == HTTPStatus.OK:
                return
            pause = _LONGER
            said = f"answered {status} to GET {path}: {body[:_BODY].decode(errors='replace').strip()}"
        clock.sleep(pause)
    else:
        said += f" within {seconds:g} s"
    raise ToolFailed(f"the release {said}{running.last_words()}")
