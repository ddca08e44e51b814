"""The launch door: agents, local checks and merge-request jobs start here and nowhere else.

Two levels. ``bwrap`` (bubblewrap): namespaces of their own, a read allow-list, the named folders writable, no
network unless granted. ``host``: a process group and a clean environment, with the reach of the Unix user. The level
reached is part of the answer, and a launch that requires more than the machine gives is refused.
"""

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from factory.errors import SandboxUnavailable, ToolFailed, ToolTimeout
from factory.system import process

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt")
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


class Level(enum.StrEnum):
    """How much a launched process is contained."""

    HOST = "host"
    BWRAP = "bwrap"


@dataclass(frozen=True)
class Launch:
    """What to start, and what it may reach.

    ``env`` is the whole environment. ``readable`` and ``writable`` are folders added to the allow-list, ``frozen``
    are paths inside a writable folder that stay read-only. ``required`` is the least level that policy accepts.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    frozen: tuple[Path, ...] = ()
    network: bool = False
    required: Level = Level.HOST


@dataclass(frozen=True)
class Prepared:
    """A launch ready for ``system.process``, and the level that it reaches."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    level: Level = Level.HOST


def prepare(launch: Launch) -> Prepared:
    """Return the command line that starts ``launch`` at the best level this machine has.

    Raises ``SandboxUnavailable`` where ``required`` cannot be reached.
    """
    bwrap = probe(launch.env.get("PATH", ""))
    if bwrap is None:
        if launch.required is Level.BWRAP:
            raise SandboxUnavailable("policy requires the sandbox level bwrap, and bubblewrap does not work here")
        return Prepared(launch.argv, launch.cwd, launch.env, Level.HOST)
    return Prepared((bwrap, *_options(launch), "--", *launch.argv), launch.cwd, launch.env, Level.BWRAP)


@functools.cache
def probe(path: str) -> str | None:
    """Return the bubblewrap program if it is installed and this machine lets it make namespaces."""
    bwrap = process.find("bwrap", path)
    if bwrap is None:
        return None
    argv = [bwrap, "--ro-bind", "/", "/", "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "true"]
    try:
        process.run(argv, env={"PATH": path}, timeout=10)
    except (ToolFailed, ToolTimeout):
        return None
    return bwrap


def _options(launch: Launch) -> list[str]:
    # Without capabilities nothing can remount what is bound read-only, not even root.
    options = ["--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    options += ["--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    if launch.network:
        options += ["--share-net", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
    for name in _SYSTEM:
        options += ["--ro-bind-try", name, name]
    for name in _ETC:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in _outermost(launch.readable):
        options += ["--ro-bind-try", str(path), str(path)]
    for path in _outermost(launch.writable):
        options += ["--bind", str(path), str(path)]
    for path in launch.frozen:
        options += ["--ro-bind-try", str(path), str(path)]
    return [*options, "--chdir", str(launch.cwd)]


def _outermost(paths: tuple[Path, ...]) -> list[Path]:
    """Return the paths in order, parents first, so that a later mount never hides an earlier one."""
    return sorted(set(paths), key=lambda path: len(path.parts))
