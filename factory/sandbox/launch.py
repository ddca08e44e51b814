"""The launch door: agents, local checks and merge-request jobs start here and nowhere else.

Two levels. ``bwrap`` (bubblewrap): namespaces of their own, a read allow-list, the named folders writable, no
network unless granted, fewer system calls. ``host``: a process group and a clean environment, with the reach of the
Unix user. The level reached is part of the answer, and a launch that requires more than the machine gives is refused.
"""

import enum
import functools
import os
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import InvalidInput, MachineError, SandboxUnavailable, ToolFailed, ToolTimeout
from factory.sandbox import cgroups, frozen, syscalls
from factory.sandbox.limits import Limits, hold
from factory.system import process

EGRESS_PORT = 18080

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_ETC = (
    "alternatives",
    "ssl",
    "ca-certificates",
    "passwd",
    "group",
    "hosts",
    "ld.so.cache",
    "localtime",
    "nsswitch.conf",
)
# What of /proc is the kernel's, not a process's: a user who is root may write there without any capability.
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "mtrr", "pressure")
_CONTAINED = ("--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--die-with-parent")
_NO_NESTING = "--disable-userns"
_FILTER_FD = 9
_SHELL = "/bin/sh"
_RELAY = Path(__file__).with_name("relay.py")
_RELAY_INSIDE, _SOCKET_INSIDE = "/run/factory/relay.py", "/run/factory/egress"
# A user who is root may change the mode of the machine's own devices, which bubblewrap shows as they are.
_DEVICES_READ_ONLY = '"$0" -n -o rbind,ro /dev /dev || exit 125; exec "$@"'


class Level(enum.StrEnum):
    """How much a launched process is contained."""

    HOST = "host"
    BWRAP = "bwrap"


@dataclass(frozen=True)
class Launch:
    """What to start, and what it may reach.

    ``env`` is the whole environment. ``readable`` and ``writable`` are folders added to the allow-list, ``frozen``
    are paths inside a writable folder that stay as they are, also where they are missing. ``required`` is the least
    level that policy accepts. ``egress`` is the socket of a ``sandbox.egress`` proxy, which the process then reaches on
    loopback at ``egress_port``. ``terminal`` leaves the process on the caller's terminal.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    frozen: tuple[Path, ...] = ()
    network: bool = False
    required: Level = Level.HOST
    limits: Limits = field(default_factory=Limits)
    egress: Path | None = None
    egress_port: int = EGRESS_PORT
    terminal: bool = False


@dataclass(frozen=True)
class PreparedLaunch:
    """A launch ready for ``system.process``, the level that it reaches, and by what means each limit is held.

    Once the process has ended, ``put_back`` removes what was made for it: ``groups`` and ``stubs``.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    level: Level = Level.HOST
    limits: Mapping[str, str] = field(default_factory=dict)
    groups: cgroups.Groups = field(default_factory=cgroups.Groups)
    stubs: tuple[frozen.Stub, ...] = ()


def prepare(launch: Launch) -> PreparedLaunch:
    """Return the command line that starts ``launch`` at the best level this machine has.

    Raises ``SandboxUnavailable`` where ``required`` cannot be reached, ``InvalidInput`` for a launch that contradicts
    itself, ``MachineError`` where a frozen path cannot be held.
    """
    if launch.network and launch.egress:
        raise InvalidInput("a launch has either the machine's network or an egress proxy")
    bwrap = probe(launch.env.get("PATH", ""))
    if bwrap is None and launch.required is Level.BWRAP:
        raise SandboxUnavailable("policy requires the sandbox level bwrap, and bubblewrap does not work here")
    if bwrap is None:
        held = hold(launch.limits, contained=False, root=os.geteuid() == 0)
        command = _relayed(launch, _RELAY, launch.egress) + launch.argv
        argv = _shell(held.before, command) if launch.limits.set_ones() else command
        return PreparedLaunch(argv, launch.cwd, launch.env, Level.HOST, held.means, held.groups)
    # What may fail comes first: from here on the worktree is changed.
    contained, devices, (opened, filtered) = _nesting(bwrap), _own_devices(), _filter()
    held = hold(launch.limits, contained=True, root=os.geteuid() == 0)
    roots = _outermost(launch.writable)
    kept = frozen.freeze(launch.frozen, writable=roots, visible=(*roots, *launch.readable))
    command = _relayed(launch, Path(_RELAY_INSIDE), Path(_SOCKET_INSIDE)) + launch.argv
    if held.inside:
        command = _shell(held.inside, command)
    options = (*contained, *filtered, *_options(launch), *kept.options, "--chdir", str(launch.cwd))
    argv = _shell((*held.before, *opened), (*devices, bwrap, *options, "--", *command))
    return PreparedLaunch(argv, launch.cwd, launch.env, Level.BWRAP, held.means, held.groups, kept.stubs)


def put_back(prepared: PreparedLaunch) -> None:
    """Remove what ``prepare`` made for a launch that has ended: control groups, and mount points of frozen paths.

    Waits up to two seconds for the launch's last process. Without this call empty groups are swept later, sockets at
    frozen paths stay (git does not see them), and a frozen link stays replaced.
    """
    cgroups.leave(prepared.groups)
    frozen.put_back(prepared.stubs)


def relay_port(path: str) -> int:
    """Return the loopback port for ``Launch.egress_port``: the constant one where the sandbox has its own loopback.

    ``path`` is the launch's ``PATH``. At level ``host`` it is a port that is free now.
    """
    if probe(path):
        return EGRESS_PORT
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def proxy_env(port: int) -> dict[str, str]:
    """Return the variables that lead programs to the egress proxy behind ``port`` on loopback."""
    url = f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {**dict.fromkeys(names, url), "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


@functools.cache
def probe(path: str) -> str | None:
    """Return the bubblewrap program if it is installed and this machine lets it make namespaces."""
    bwrap = process.find("bwrap", path)
    return bwrap if bwrap and _works((bwrap, *_CONTAINED, "--ro-bind", "/", "/", "true")) else None


@functools.cache
def _nesting(bwrap: str) -> tuple[str, ...]:
    """Return the options that contain; before bubblewrap 0.8 the filter alone refuses further user namespaces."""
    strict = (*_CONTAINED, _NO_NESTING)
    if _works((bwrap, *strict, "--ro-bind", "/", "/", "true")):
        return strict
    if syscalls.source() is None:
        raise SandboxUnavailable("bubblewrap cannot forbid further user namespaces here; it must be 0.8 or newer")
    return _CONTAINED


def _filter() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the line of shell that opens the system-call filter, and the options that apply it."""
    source = syscalls.source()
    if source is None:
        return (), ()
    return (f"exec {_FILTER_FD}< {shlex.quote(source)} || exit 125",), ("--seccomp", str(_FILTER_FD))


@functools.cache
def _own_devices() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    unshare, mount = process.find("unshare", _SYSTEM_PATH), process.find("mount", _SYSTEM_PATH)
    if unshare is None or mount is None:
        raise MachineError("unshare and mount are not installed", hint="Install util-linux, or do not run as root.")
    command = (unshare, "--mount", _SHELL, "-c", _DEVICES_READ_ONLY, mount)
    if not _works((*command, "true")):
        raise SandboxUnavailable(
            "as root without mount rights the machine's devices cannot be kept from the sandbox",
            hint="Run the factory as an ordinary user.",
        )
    return command


def _works(argv: tuple[str, ...]) -> bool:
    try:
        process.run(argv, env={"PATH": _SYSTEM_PATH}, timeout=10)
    except (ToolFailed, ToolTimeout):
        return False
    return True


def _shell(lines: tuple[str, ...], command: tuple[str, ...]) -> tuple[str, ...]:
    return (_SHELL, "-c", "\n".join((*lines, 'exec "$@"')), "sandbox", *command)


def _relayed(launch: Launch, relay: Path, end: Path | None) -> tuple[str, ...]:
    """Return what stands before the command so that it finds the proxy on loopback."""
    if launch.egress is None:
        return ()
    # -I -S -E: nothing of the worktree or the environment decides what the relay is.
    return (_interpreter(), "-I", "-S", "-E", str(relay), str(launch.egress_port), str(end), "--")


def _interpreter() -> str:
    return os.path.realpath(process.python())


def _options(launch: Launch) -> list[str]:
    # Without capabilities nothing can remount what is bound read-only, not even root.
    options = [] if launch.terminal else ["--new-session"]
    for name in ("OLDPWD", "SHLVL", "_"):
        options += [] if name in launch.env else ["--unsetenv", name]
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for name in _KERNEL:
        options += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    if launch.network:
        options += ["--share-net", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
    for name in _SYSTEM:
        options += ["--ro-bind-try", name, name]
    for name in _ETC:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    readable = set(launch.readable)
    if launch.egress:
        options += ["--ro-bind", str(_RELAY), _RELAY_INSIDE, "--ro-bind", str(launch.egress), _SOCKET_INSIDE]
        readable.add(Path(_interpreter()).parents[1])
    # Parents first, so that a later mount never hides an earlier one; what is named as both is writable.
    binds = dict.fromkeys(readable, "--ro-bind-try") | dict.fromkeys(launch.writable, "--bind")
    for path in sorted(binds, key=lambda item: len(item.parts)):
        options += [binds[path], str(path), str(path)]
    return options


def _outermost(paths: tuple[Path, ...]) -> list[Path]:
    return sorted(set(paths), key=lambda path: len(path.parts))
