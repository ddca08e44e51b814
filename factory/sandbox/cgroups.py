"""Control groups (version 1 or 2) for each launch, created below this process's own group and removed once empty."""

import itertools
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from factory.system import clock, process

_PREFIX = "factory-"
_CONTROLLER = {"memory_bytes": "memory", "processes": "pids"}
# After so many seconds, an empty group of this process is considered unused.
_OWN_EMPTY_SECONDS = 600.0
_LEAVING_SECONDS = 2.0
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Groups:
    """The groups of one launch, and the names of the limits that they enforce."""

    folders: tuple[Path, ...] = ()
    held: frozenset[str] = frozenset()


def make(wanted: Mapping[str, int]) -> Groups:
    """Create groups that enforce ``wanted`` (``memory_bytes``, ``processes``), as far as this machine allows."""
    if not wanted:
        return Groups()
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return Groups()
    return make_below(parents(lines, mounts), wanted)


def parents(memberships: Iterable[str], mountinfo: Iterable[str]) -> list[tuple[Path, frozenset[str], int]]:
    """Return the folders that may contain new groups, each with its controllers and its version.

    The arguments are the lines of ``/proc/self/cgroup`` and ``/proc/self/mountinfo`` (cgroups(7)).
    """
    own: dict[str, str] = {}
    for line in memberships:
        _, names, path = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), path)
    found = []
    for line in mountinfo:
        left, _, right = line.partition(" - ")
        fields, kind, options = left.split(), right.split()[0], right.split()[-1].split(",")
        root, mounted = fields[3], Path(fields[4])
        if kind == "cgroup2" and "" in own:
            here = mounted / _below(own[""], root)
            # A group with processes cannot delegate controllers to child groups, so a sibling is the second choice.
            found += [(folder, frozenset(_CONTROLLER.values()), 2) for folder in (here, here.parent)]
        elif kind == "cgroup":
            controllers = sorted({*options} & {*_CONTROLLER.values()})
            found += [(mounted / _below(own.get(name, "/"), root), frozenset({name}), 1) for name in controllers]
    return found


def make_below(places: Iterable[tuple[Path, frozenset[str], int]], wanted: Mapping[str, int]) -> Groups:
    """Create groups in the first places that can enforce each of ``wanted``; ``held`` names the enforced limits."""
    folders: list[Path] = []
    held: set[str] = set()
    for place, controllers, version in places:
        here = {name: value for name, value in wanted.items() if _CONTROLLER[name] in controllers and name not in held}
        if not here or not place.is_dir():
            continue
        _sweep(place)
        folder = place / f"{_PREFIX}{os.getpid()}-{process.started_at(os.getpid())}-{next(_NUMBERS)}"
        try:
            folder.mkdir(mode=0o755)
            _bound(folder, here, version)
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            continue
        folders.append(folder)
        held |= here.keys()
    return Groups(tuple(folders), frozenset(held))


def leave(groups: Groups) -> None:
    """Remove the groups of a launch that has ended; wait up to two seconds for the end of its last processes."""
    deadline = clock.monotonic() + _LEAVING_SECONDS
    for folder in groups.folders:
        while _occupied(folder) and clock.monotonic() < deadline:
            clock.sleep(0.005)
        with suppress(OSError):
            folder.rmdir()


def _bound(folder: Path, wanted: Mapping[str, int], version: int) -> None:
    if "processes" in wanted:
        (folder / "pids.max").write_text(str(wanted["processes"]))
    if "memory_bytes" not in wanted:
        return
    value = str(wanted["memory_bytes"])
    if version == 1:
        (folder / "memory.limit_in_bytes").write_text(value)
        swap = folder / "memory.memsw.limit_in_bytes"
        if swap.exists():
            swap.write_text(value)
        return
    (folder / "memory.max").write_text(value)
    for name, setting in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        if (folder / name).exists():
            (folder / name).write_text(setting)


def _sweep(place: Path) -> None:
    """Remove groups without processes, except new groups of live processes, which may wait for their launch."""
    for folder in place.glob(f"{_PREFIX}*-*-*"):
        pid, start, _ = folder.name.removeprefix(_PREFIX).split("-", 2)
        owner_lives = pid.isdigit() and process.started_at(int(pid)) == start
        with suppress(OSError):
            age = clock.now().timestamp() - folder.stat().st_mtime
            if not owner_lives or (int(pid) == os.getpid() and age > _OWN_EMPTY_SECONDS):
                folder.rmdir()  # the kernel refuses this while the group has processes


def _occupied(folder: Path) -> bool:
    try:
        return bool((folder / "cgroup.procs").read_text().strip())
    except OSError:
        return False


def _below(path: str, root: str) -> str:
    return path.removeprefix(root.rstrip("/")).lstrip("/") if path.startswith(root) else ""
