"""``factory doctor``: checks the programs and sandbox features of this machine."""

import platform
from collections.abc import Mapping
from dataclasses import asdict

import click

from factory.cli import environment, output
from factory.cli.current import repository
from factory.errors import MachineError
from factory.model.diagnosis import Diagnosis
from factory.reports import diagnoses
from factory.reports.tables import table
from factory.sandbox import diagnosis, launch
from factory.sandbox.held import HELD
from factory.sandbox.launch import Level
from factory.system import process
from factory.system.toolchain import toolchain


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
        *diagnosis.contained(tools.search_path),
        diagnosis.limited(),
        _program("git", tools.search_path, given, "apt-get install git, or xcode-select --install"),
        _program("node", tools.search_path, given, "factory setup"),
        _program("terraform", tools.search_path, given, "factory setup", required=infrastructure),
    )
    text = [*diagnoses.lines(findings), "", *_held(level)]
    held = [asdict(item) for item in HELD[level]]
    value = {
        "platform": platform.system(),
        "level": level,
        "held": held,
        "findings": [asdict(item) for item in findings],
    }
    output.one(value, json_wanted=as_json, text="\n".join(text))
    if lacking := diagnoses.lacking(findings):
        raise MachineError(f"this machine lacks: {lacking}", hint="Apply the fixes above, then run it again.")


def _held(level: Level) -> list[str]:
    """Return the lines that say what holds an agent on this machine, and a person's own session on any."""
    rows = [[item.what, "" if item.contained else "not held", item.how] for item in HELD[level]]
    lines = [f"An agent, and a merge request's jobs, at the sandbox level {level} of this machine:"]
    lines.append(table(["", "", ""], rows).strip("\n"))
    if level is Level.HOST:
        lines.append("Agents whose `sandbox` in policies/agents.yml is bwrap do not start here.")
    lines.append("Your own sessions (`factory session start --mine`) have all rights of your user, on every machine.")
    return lines


def _program(name: str, path: str, given: Mapping[str, str], fix: str, *, required: bool = True) -> Diagnosis:
    program = process.find(name, path)
    if program is None:
        return Diagnosis(name, "missing", "", fix, required)
    return Diagnosis(name, "ok", diagnosis.version(program, {"PATH": path, "HOME": given.get("HOME", "/")}))
