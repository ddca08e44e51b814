"""The imports of a bare `--help`, and the options of every command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from factory.cli import COMMANDS, SECTIONS, root
from tests.cli import command_line

# For the pipeline, for a terminal, or JSON already.
FOR_CI = {
    "help",
    "gate check",
    "infra plan",
    "infra apply",
    "infra verify",
    "infra drift",
    "infra return",
    "session attach",
    "session record",
    "mcp",
}


def test_help_loads_click_alone() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "sys.argv = ['factory', '--help']\n"
        "from factory.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "import json; print('\\n' + json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    third = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"click", "_colorama"}
    assert third == {"factory"}
    assert {name for name in loaded if name.startswith("factory")} == {
        "factory",
        "factory.cli.hints",
        "factory.cli",
        "factory.cli.lazy",
        "factory.errors",
    }


def leaves(command: click.Command, name: str) -> list[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        shown = {child: inner for child, inner in command.commands.items() if not inner.hidden}
        return [item for child, inner in shown.items() for item in leaves(inner, f"{name} {child}")]
    return [(name, command)]


def every_command() -> list[Any]:
    context = click.Context(root)
    found = []
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        found += leaves(command, name)
    return [pytest.param(command, id=name) for name, command in found]


@pytest.mark.parametrize("command", every_command())
def test_every_command_has_help(command: click.Command) -> None:
    assert (command.help or "").strip().endswith(".")
    assert all(getattr(option, "help", "set") for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("command", [item for item in every_command() if item.id not in FOR_CI])
def test_every_command_for_people_prints_json(command: click.Command) -> None:
    assert "as_json" in {option.name for option in command.params}


def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return command_line.run(arguments, cwd=Path.cwd(), env=os.environ)


def test_help_shows_the_commands_of_every_day_and_all_on_request() -> None:
    short, every = call("--help").stdout, call("help", "--all").stdout
    shown = [name for names in SECTIONS.values() for name in names]
    assert len(shown) <= 12
    assert all(f"  {name} " in short for name in shown)
    assert "  conformance " not in short
    assert all(f"  {name} " in every for name in COMMANDS)


@pytest.mark.parametrize(("typed", "meant"), [("deply", "deploy"), ("confg", "config"), ("mr aprove", "approve")])
def test_a_typo_gets_a_suggestion(typed: str, meant: str) -> None:
    done = call(*typed.split())
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


def test_help_explains_one_command() -> None:
    assert call("help", "mr", "approve").stdout == call("mr", "approve", "--help").stdout
    assert "Did you mean 'approve'?" in call("help", "mr", "aprove").stderr
