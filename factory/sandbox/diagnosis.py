"""Checks how this machine can confine a process: bubblewrap, namespaces and control groups."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path

from factory.errors import ToolFailed, ToolTimeout
from factory.model.diagnosis import Diagnosis
from factory.sandbox import launch
from factory.sandbox.limits import Limits
from factory.system import process

_RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MOST_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
_PROFILE = """abi <abi/4.0>,
include <tunables/global>

profile bwrap {program} flags=(unconfined) {{
  userns,
  include if exists <local/bwrap>
}}
"""
_INSTALL = "sudo install -m 644 bwrap.apparmor /etc/apparmor.d/bwrap\nsudo apparmor_parser -r /etc/apparmor.d/bwrap"


def contained(path: str) -> tuple[Diagnosis, ...]:
    """Check bubblewrap and the namespaces that it needs."""
    program = process.find("bwrap", path)
    if platform.system() != "Linux":
        fix = "a Linux machine, or a virtual one, has the level bwrap"
        return (Diagnosis("bubblewrap", "missing", "not Linux: sandbox level host", fix, required=False),)
    if program is None:
        return (Diagnosis("bubblewrap", "missing", "", "apt-get install bubblewrap, or dnf install bubblewrap"),)
    found = version(program, {"PATH": path})
    first = Diagnosis("bubblewrap", "ok" if _at_least(found, (0, 6)) else "fix", found, "0.8 or newer is best")
    if launch.probe(path) is not None:
        return (first, Diagnosis("user namespaces", "ok", "bubblewrap can create them"))
    if _read(_RESTRICTED) == "1":
        profile = _PROFILE.format(program=program)
        fix = f"an AppArmor profile for bubblewrap; save it as bwrap.apparmor:\n{profile}\nand install it:\n{_INSTALL}"
        return (first, Diagnosis("user namespaces", "fix", "refused by AppArmor (Ubuntu)", fix))
    if _read(_MOST_NAMESPACES) == "0":
        return (first, Diagnosis("user namespaces", "fix", "switched off", "sysctl user.max_user_namespaces=15000"))
    fix = "in a container: allow user namespaces (docker: --security-opt seccomp=unconfined)"
    return (first, Diagnosis("user namespaces", "fix", "refused", fix))


def limited() -> Diagnosis:
    """Check how an agent's memory and processes can be limited here."""
    wanted = Limits(memory_bytes=2**30, processes=64)
    folder = Path("/")
    prepared = launch.prepare(launch.Launch(("true",), folder, {"PATH": "/usr/bin:/bin"}, limits=wanted))
    launch.put_back(prepared)
    means = ", ".join(f"{name.removesuffix('_bytes')}: {how}" for name, how in sorted(prepared.limits.items()))
    ok = set(prepared.limits.values()) == {"cgroup"}
    fix = "" if ok else "run systemd-run --user --scope -p Delegate=yes factory … to get delegated control groups"
    return Diagnosis("control groups", "ok" if ok else "fix", means, fix, required=False)


def version(program: str, env: Mapping[str, str]) -> str:
    """Return the first line that a program prints for ``--version``, or why it printed none."""
    try:
        lines = process.run([program, "--version"], env=env, timeout=20).text.splitlines()
    except (ToolFailed, ToolTimeout) as error:
        return str(error)
    return lines[0] if lines else ""


def _at_least(version: str, minimum: tuple[int, int]) -> bool:
    found = re.search(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= minimum


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
