"""The imports of a bare `--help`, and the options of every command."""

import json
import subprocess
import sys
from typing import Any

import click
import pytest

from factory.cli import COMMANDS, root

# For the pipeline, for a terminal, or JSON already.
FOR_CI = {
    "gate check",
    "infra plan",
    "infra apply",
    "infra verify",
    "infra drift",
    "infra return",
    "session attach",
    "session record",
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
