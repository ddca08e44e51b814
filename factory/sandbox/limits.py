"""What a launched process and everything it starts may use, and how the kernel is made to hold it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields

from factory.sandbox import cgroups

_BLOCK = 512
WATCHED = "watched"


@dataclass(frozen=True)
class Limits:
    """Bounds of one launch; ``None`` leaves a thing unbounded.

    ``memory_bytes`` (resident, files in memory included) and ``processes`` count the whole launch; ``file_bytes``,
    ``open_files`` and ``cpu_seconds`` count each process by itself.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None

    def set_ones(self) -> dict[str, int]:
        """Return the bounds that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


UNBOUNDED = Limits()


@dataclass(frozen=True)
class LimitSetup:
    """How a launch is bounded: lines of shell before it starts, inside its sandbox, its cgroups, and in words."""

    before: tuple[str, ...]
    inside: tuple[str, ...]
    groups: cgroups.Groups
    means: Mapping[str, str]


def watched(limits: Limits, means: Mapping[str, str]) -> Limits:
    """Return what nobody but a watcher holds: for ``sandbox.watch.over``, with ``Prepared.limits`` as the means."""
    return Limits(**{name: value for name, value in limits.set_ones().items() if means.get(name) == WATCHED})


def hold(limits: Limits, *, contained: bool, root: bool) -> LimitSetup:
    """Make the cgroups that ``limits`` needs and return how each bound is held.

    ``contained`` tells that the launch gets a user namespace of its own, in which processes are counted apart. A bound
    on what no cgroup of this machine can hold is ``watched``: somebody must ask ``sandbox.watch`` while it runs.
    """
    wanted = limits.set_ones()
    groups = cgroups.make({name: wanted[name] for name in ("memory_bytes", "processes") if name in wanted})
    before, inside = ["ulimit -c 0"], []  # a core file would hold what the memory held
    means = dict.fromkeys(groups.held, "cgroup")
    if limits.file_bytes is not None:
        before.append(f"ulimit -f {max(1, limits.file_bytes // _BLOCK)} || exit 125")
    if limits.open_files is not None:
        before.append(f"ulimit -n {limits.open_files} || exit 125")
    if limits.cpu_seconds is not None:
        before.append(f"ulimit -t {limits.cpu_seconds} || exit 125")
    means |= dict.fromkeys(wanted.keys() & {"file_bytes", "open_files", "cpu_seconds"}, "rlimit of each process")
    if "processes" in wanted and "processes" not in means and contained and not root:
        # Inside the sandbox's user namespace only its own processes count. dash calls it -p, other shells -u.
        inside.append(f"ulimit -u {limits.processes} 2>/dev/null || ulimit -p {limits.processes} || exit 125")
        means["processes"] = "rlimit of the user namespace"
    means |= dict.fromkeys(wanted.keys() - means.keys(), WATCHED)
    # One write moves the shell, before it becomes the program: nothing ever runs outside.
    before += [f"echo $$ > {shlex.quote(str(folder / 'cgroup.procs'))} || exit 125" for folder in groups.folders]
    return LimitSetup(tuple(before), tuple(inside), groups, means)
