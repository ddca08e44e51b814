"""The launch door: the only module through which agents, local checks and merge-request jobs start.

It has two levels. ``bwrap`` (bubblewrap) gives a process separate namespaces, a read allow-list, the named writable
folders, no network unless granted, and fewer system calls. ``host`` gives it a process group and a clean environment,
with all rights of the Unix user. The result names the level; a launch that requires a higher level is refused.
"""

import enum
import functools
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import InvalidInput, MachineError, SandboxUnavailable, ToolFailed, ToolTimeout
from factory.sandbox import cgroups, read_only_paths, syscalls
from factory.sandbox.limits import Limits, hold
from factory.system import ports, process

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
# The kernel's files in /proc, which the user root may write without any capability.
_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver", "mtrr", "pressure")
_CONTAINED = ("--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--die-with-parent")
_NO_NESTING = "--disable-userns"
_FILTER_FD = 9
_SHELL = "/bin/sh"
_RELAY = Path(__file__).with_name("relay.py")
_RELAY_INSIDE, _SOCKET_INSIDE = "/run/factory/relay.py", "/run/factory/egress"
# Bubblewrap binds the machine's own devices, and the user root may change their modes.
_DEVICES_READ_ONLY = '"$0" -n -o rbind,ro /dev /dev || exit 125; exec "$@"'


class Level(enum.StrEnum):
    """How strictly a launched process is contained."""

    HOST = "host"
    BWRAP = "bwrap"


@dataclass(frozen=True)
class Launch:
    """The command to start, and its access rights.

    ``env`` is the whole environment. ``readable`` and ``writable`` are folders added to the allow-list. ``frozen`` are
    paths inside a writable folder that the process cannot change or create. ``required`` is the lowest level that
    policy accepts. ``egress`` is the socket of a ``sandbox.egress`` proxy, which the process reaches on loopback at
    ``egress_port``. ``inlet`` is a socket in a writable folder: who connects to it reaches the port ``inlet_port`` of
    the process's own loopback. ``terminal`` leaves the process on the caller's terminal.
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
    inlet: Path | None = None
    inlet_port: int = 0
    terminal: bool = False


@dataclass(frozen=True)
class PreparedLaunch:
    """A launch ready for ``system.process``, its level, and the mechanism that enforces each limit.

    After the process has ended, ``put_back`` removes its ``groups`` and ``stubs``.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    level: Level = Level.HOST
    limits: Mapping[str, str] = field(default_factory=dict)
    groups: cgroups.Groups = field(default_factory=cgroups.Groups)
    stubs: tuple[read_only_paths.Stub, ...] = ()


def prepare(launch: Launch) -> PreparedLaunch:
    """Return the command line that starts ``launch`` at the highest level of this machine.

    Raises ``SandboxUnavailable`` if the machine does not support ``required``, ``InvalidInput`` if ``network`` and
    ``egress`` are both set, ``MachineError`` if a path cannot be frozen.
    """
    if launch.network and launch.egress:
        raise InvalidInput("a launch cannot have both the machine's network and an egress proxy")
    bwrap = probe(launch.env.get("PATH", ""))
    if bwrap is None and launch.required is Level.BWRAP:
        raise SandboxUnavailable("policy requires the sandbox level bwrap, and bubblewrap does not work here")
    if bwrap is None:
        setup = hold(launch.limits, contained=False, root=os.geteuid() == 0)
        command = _relayed(launch, _RELAY, launch.egress) + launch.argv
        argv = _shell(setup.before, command) if launch.limits.set_ones() else command
        return PreparedLaunch(argv, launch.cwd, launch.env, Level.HOST, setup.means, setup.groups)
    # These steps may fail, so they come before ``freeze``, which changes the worktree.
    contained, devices, (opened, filtered) = _nesting(bwrap), _own_devices(), _filter()
    setup = hold(launch.limits, contained=True, root=os.geteuid() == 0)
    roots = _outermost(launch.writable)
    mounts = read_only_paths.freeze(launch.frozen, writable=roots, visible=(*roots, *launch.readable))
    command = _relayed(launch, Path(_RELAY_INSIDE), Path(_SOCKET_INSIDE)) + launch.argv
    if setup.inside:
        command = _shell(setup.inside, command)
    options = (*contained, *filtered, *_options(launch), *mounts.options, "--chdir", str(launch.cwd))
    argv = _shell((*setup.before, *opened), (*devices, bwrap, *options, "--", *command))
    return PreparedLaunch(argv, launch.cwd, launch.env, Level.BWRAP, setup.means, setup.groups, mounts.stubs)


def supervised(argv: tuple[str, ...], *, cwd: Path, env: Mapping[str, str]) -> PreparedLaunch:
    """Return the launch of a person's own program, which they watch: with all their rights, at the level ``host``."""
    return PreparedLaunch(argv, cwd, env, Level.HOST)


def put_back(prepared: PreparedLaunch) -> None:
    """Remove the control groups and mount points that ``prepare`` created for a launch that has ended.

    Waits up to two seconds for the launch's last process. Without this call, a later launch removes empty groups, but
    sockets at frozen paths remain (git ignores them), and a frozen link remains replaced.
    """
    cgroups.leave(prepared.groups)
    read_only_paths.put_back(prepared.stubs)


def relay_port(path: str) -> int:
    """Return the loopback port for ``Launch.egress_port``: ``EGRESS_PORT`` at level ``bwrap``, else a free port.

    ``path`` is the launch's ``PATH``.
    """
    if probe(path):
        return EGRESS_PORT
    return ports.free(1)[0]


def proxy_env(port: int) -> dict[str, str]:
    """Return the environment variables that make programs use the egress proxy on loopback at ``port``."""
    url = f"http://127.0.0.1:{port}"
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {**dict.fromkeys(names, url), "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


@functools.cache
def probe(path: str) -> str | None:
    """Return the bubblewrap program if it is installed and can create namespaces on this machine."""
    bwrap = process.find("bwrap", path)
    return bwrap if bwrap and _works((bwrap, *_CONTAINED, "--ro-bind", "/", "/", "true")) else None


@functools.cache
def _nesting(bwrap: str) -> tuple[str, ...]:
    """Return the namespace options; before bubblewrap 0.8, only the filter prevents further user namespaces."""
    strict = (*_CONTAINED, _NO_NESTING)
    if _works((bwrap, *strict, "--ro-bind", "/", "/", "true")):
        return strict
    if syscalls.source() is None:
        raise SandboxUnavailable("this bubblewrap cannot prevent further user namespaces: install 0.8 or newer")
    return _CONTAINED


def _filter() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the shell line that opens the system-call filter, and the bubblewrap options that apply it."""
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
            "running as root without mount rights: the machine's devices cannot be made read-only in the sandbox",
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
    """Return the words before the command that start the relays: to the egress proxy, and from the inlet."""
    # -I -S -E: neither the worktree nor the environment can change the code of the relay.
    program = (_interpreter(), "-I", "-S", "-E", str(relay))
    out = (*program, "out", str(launch.egress_port), str(end), "--") if launch.egress else ()
    into = (*program, "in", str(launch.inlet_port), str(launch.inlet), "--") if launch.inlet else ()
    return (*out, *into)


def _interpreter() -> str:
    return os.path.realpath(process.python())


def _options(launch: Launch) -> list[str]:
    # Without capabilities not even root can remount a read-only mount as writable.
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
        options += ["--ro-bind", str(launch.egress), _SOCKET_INSIDE]
    if launch.egress or launch.inlet:
        options += ["--ro-bind", str(_RELAY), _RELAY_INSIDE]
        readable.add(Path(_interpreter()).parents[1])
    # Parents first, so that a later mount never hides an earlier one; a folder named as both is writable.
    binds = dict.fromkeys(readable, "--ro-bind-try") | dict.fromkeys(launch.writable, "--bind")
    for path in sorted(binds, key=lambda item: len(item.parts)):
        options += [binds[path], str(path), str(path)]
    return options


def _outermost(paths: tuple[Path, ...]) -> list[Path]:
    return sorted(set(paths), key=lambda path: len(path.parts))
