"""Resource limits of a launch, and the kernel mechanisms that enforce them."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields

from factory.sandbox import cgroups

_BLOCK = 512
WATCHED = "watched"


@dataclass(frozen=True)
class Limits:
    """Limits of one launch; ``None`` is no limit.

    ``memory_bytes`` (resident, including files in memory) and ``processes`` apply to the whole launch; ``file_bytes``,
    ``open_files`` and ``cpu_seconds`` apply to each process.
    """

    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None

    def set_ones(self) -> dict[str, int]:
        """Return the limits that are set, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


UNBOUNDED = Limits()


@dataclass(frozen=True)
class LimitSetup:
    """Shell lines that set limits before the sandbox and inside it, the cgroups, and the mechanism of each limit."""

    before: tuple[str, ...]
    inside: tuple[str, ...]
    groups: cgroups.Groups
    means: Mapping[str, str]


def watched(limits: Limits, means: Mapping[str, str]) -> Limits:
    """Return the limits that ``sandbox.watch.over`` must check; ``means`` is ``PreparedLaunch.limits``."""
    return Limits(**{name: value for name, value in limits.set_ones().items() if means.get(name) == WATCHED})


def hold(limits: Limits, *, contained: bool, root: bool) -> LimitSetup:
    """Create the cgroups for ``limits`` and return the mechanism that enforces each limit.

    ``contained`` tells that the launch gets a separate user namespace, in which the kernel counts processes
    separately. A limit that the kernel cannot enforce on this machine is ``watched``: the caller must poll
    ``sandbox.watch`` while the launch runs.
    """
    requested = limits.set_ones()
    groups = cgroups.make({name: requested[name] for name in ("memory_bytes", "processes") if name in requested})
    before, inside = ["ulimit -c 0"], []  # a core file would contain secrets from memory
    means = dict.fromkeys(groups.held, "cgroup")
    if limits.file_bytes is not None:
        before.append(f"ulimit -f {max(1, limits.file_bytes // _BLOCK)} || exit 125")
    if limits.open_files is not None:
        before.append(f"ulimit -n {limits.open_files} || exit 125")
    if limits.cpu_seconds is not None:
        before.append(f"ulimit -t {limits.cpu_seconds} || exit 125")
    means |= dict.fromkeys(requested.keys() & {"file_bytes", "open_files", "cpu_seconds"}, "rlimit of each process")
    if "processes" in requested and "processes" not in means and contained and not root:
        # Inside the sandbox's user namespace only its own processes count. dash names the option -p, other shells -u.
        inside.append(f"ulimit -u {limits.processes} 2>/dev/null || ulimit -p {limits.processes} || exit 125")
        means["processes"] = "rlimit of the user namespace"
    means |= dict.fromkeys(requested.keys() - means.keys(), WATCHED)
    # The shell enters the cgroup before it becomes the program, so nothing runs outside the cgroup.
    before += [f"echo $$ > {shlex.quote(str(folder / 'cgroup.procs'))} || exit 125" for folder in groups.folders]
    return LimitSetup(tuple(before), tuple(inside), groups, means)
