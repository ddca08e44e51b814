"""``factory doctor``: what this machine can hold, and how to mend what it can't."""

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.workplace import current
from factory.errors import MachineError, ToolFailed, ToolTimeout
from factory.reports.tables import table
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


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: ``ok``, ``missing``, or there and to ``mend``; and what to do about it."""

    thing: str
    state: str
    found: str
    mend: str = ""
    required: bool = True


@click.command()
@output.as_json
def command(as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Look for bubblewrap, namespaces, control groups, git, node and terraform; say how to mend what is missing.

    Ends with 10 where something required is missing.
    """
    given, tools = environment.snapshot(), current().tools
    findings = (
        *contained(tools.search_path),
        limited(),
        _program("git", tools.search_path, given, "apt-get install git, or xcode-select --install"),
        _program("node", tools.search_path, given, "make setup"),
        _program("terraform", tools.search_path, given, "make setup"),
    )
    rows = [[item.thing, item.state, item.found, item.mend.split("\n")[0]] for item in findings]
    text = [table(["", "", "found", "to mend"], rows)]
    text += [f"\n{item.thing}:\n{item.mend}" for item in findings if "\n" in item.mend]
    output.one([asdict(item) for item in findings], json_wanted=as_json, text="\n".join(text))
    lacking = [item.thing for item in findings if item.required and item.state != "ok"]
    if lacking:
        raise MachineError(
            f"this machine lacks: {', '.join(lacking)}", hint="Mend it as told above, then run it again."
        )


def contained(path: str) -> tuple[Finding, ...]:
    """Return what is found of bubblewrap and of the namespaces that it needs."""
    program = process.find("bwrap", path)
    if platform.system() != "Linux":
        return (Finding("bubblewrap", "missing", "not Linux: sandbox level host", required=False),)
    if program is None:
        return (Finding("bubblewrap", "missing", "", "apt-get install bubblewrap, or dnf install bubblewrap"),)
    told = _version(program, {"PATH": path})
    first = Finding("bubblewrap", "ok" if _at_least(told, (0, 6)) else "mend", told, "0.8 or newer is best")
    if launch.probe(path) is not None:
        return (first, Finding("user namespaces", "ok", "bubblewrap makes them"))
    if _read(_RESTRICTED) == "1":
        profile = _PROFILE.format(program=program)
        mend = f"an AppArmor profile for bubblewrap; save it as bwrap.apparmor:\n{profile}\nand install it:\n{_INSTALL}"
        return (first, Finding("user namespaces", "mend", "refused by AppArmor (Ubuntu)", mend))
    if _read(_MOST_NAMESPACES) == "0":
        return (first, Finding("user namespaces", "mend", "switched off", "sysctl user.max_user_namespaces=15000"))
    mend = "in a container: allow user namespaces (docker: --security-opt seccomp=unconfined)"
    return (first, Finding("user namespaces", "mend", "refused", mend))


def limited() -> Finding:
    """Return by what means memory and processes of an agent can be limited here."""
    wanted = Limits(memory_bytes=2**30, processes=64)
    folder = Path("/")
    prepared = launch.prepare(launch.Launch(("true",), folder, {"PATH": "/usr/bin:/bin"}, limits=wanted))
    launch.put_back(prepared)
    means = ", ".join(f"{name.removesuffix('_bytes')}: {how}" for name, how in sorted(prepared.limits.items()))
    ok = set(prepared.limits.values()) == {"cgroup"}
    mend = "" if ok else "systemd-run --user --scope -p Delegate=yes factory … gives it control groups of its own"
    return Finding("control groups", "ok" if ok else "mend", means, mend, required=False)


def _program(name: str, path: str, given: Mapping[str, str], mend: str) -> Finding:
    program = process.find(name, path)
    if program is None:
        return Finding(name, "missing", "", mend)
    return Finding(name, "ok", _version(program, {"PATH": path, "HOME": given.get("HOME", "/")}))


def _version(program: str, env: Mapping[str, str]) -> str:
    try:
        lines = process.run([program, "--version"], env=env, timeout=20).text.splitlines()
    except (ToolFailed, ToolTimeout) as error:
        return str(error)
    return lines[0] if lines else ""


def _at_least(told: str, wanted: tuple[int, int]) -> bool:
    found = re.search(r"(\d+)\.(\d+)", told)
    return found is not None and (int(found[1]), int(found[2])) >= wanted


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
