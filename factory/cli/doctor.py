"""``factory doctor``: checks the programs and sandbox features of this machine."""

import platform
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from factory.cli import environment, output
from factory.cli.current import repository
from factory.errors import MachineError, ToolFailed, ToolTimeout
from factory.model.diagnosis import Diagnosis
from factory.reports.tables import table
from factory.sandbox import launch
from factory.sandbox.held import HELD
from factory.sandbox.launch import Level
from factory.sandbox.limits import Limits
from factory.system import process
from factory.system.toolchain import toolchain

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


@click.command()
@output.as_json
def command(as_json: bool) -> None:
    """Check bubblewrap, namespaces, control groups, git, node and terraform; show how to fix what is missing.

    Then say what confines an agent and a merge request's jobs on this machine. Exits with 10 if something required is
    missing.
    """
    given, clone = environment.snapshot(), repository()
    tools = toolchain(given, clone)
    level = Level.HOST if launch.probe(tools.search_path) is None else Level.BWRAP
    infrastructure = (clone / "terraform" / "live").is_dir()
    findings = (
        *contained(tools.search_path),
        limited(),
        _program("git", tools.search_path, given, "apt-get install git, or xcode-select --install"),
        _program("node", tools.search_path, given, "factory setup"),
        _program("terraform", tools.search_path, given, "factory setup", required=infrastructure),
    )
    rows = [[item.thing, item.state, item.found, item.fix.split("\n")[0]] for item in findings]
    text = [table(["", "", "found", "fix"], rows)]
    text += [f"\n{item.thing}:\n{item.fix}" for item in findings if "\n" in item.fix]
    text += ["", *_held(level)]
    held = [asdict(item) for item in HELD[level]]
    value = {
        "platform": platform.system(),
        "level": level,
        "held": held,
        "findings": [asdict(item) for item in findings],
    }
    output.one(value, json_wanted=as_json, text="\n".join(text))
    lacking = [item.thing for item in findings if item.required and item.state != "ok"]
    if lacking:
        raise MachineError(
            f"this machine lacks: {', '.join(lacking)}", hint="Apply the fixes above, then run it again."
        )


def _held(level: Level) -> list[str]:
    """Return the lines that say what holds an agent on this machine, and a person's own session on any."""
    rows = [[item.what, "" if item.contained else "not held", item.how] for item in HELD[level]]
    lines = [f"An agent, and a merge request's jobs, at the sandbox level {level} of this machine:"]
    lines.append(table(["", "", ""], rows).strip("\n"))
    if level is Level.HOST:
        lines.append("Agents whose `sandbox` in policies/agents.yml is bwrap do not start here.")
    lines.append("Your own sessions (`factory session start --mine`) have all rights of your user, on every machine.")
    return lines


def contained(path: str) -> tuple[Diagnosis, ...]:
    """Check bubblewrap and the namespaces that it needs."""
    program = process.find("bwrap", path)
    if platform.system() != "Linux":
        fix = "a Linux machine, or a virtual one, has the level bwrap"
        return (Diagnosis("bubblewrap", "missing", "not Linux: sandbox level host", fix, required=False),)
    if program is None:
        return (Diagnosis("bubblewrap", "missing", "", "apt-get install bubblewrap, or dnf install bubblewrap"),)
    version = _version(program, {"PATH": path})
    first = Diagnosis("bubblewrap", "ok" if _at_least(version, (0, 6)) else "fix", version, "0.8 or newer is best")
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


def _program(name: str, path: str, given: Mapping[str, str], fix: str, *, required: bool = True) -> Diagnosis:
    program = process.find(name, path)
    if program is None:
        return Diagnosis(name, "missing", "", fix, required)
    return Diagnosis(name, "ok", _version(program, {"PATH": path, "HOME": given.get("HOME", "/")}))


def _version(program: str, env: Mapping[str, str]) -> str:
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
