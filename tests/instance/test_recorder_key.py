"""The machine's signing key: sealed by a passphrase that the environment or a keyring's command gives."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factory.config import load
from factory.errors import FactoryError, InvalidInput, ToolFailed
from factory.instance import recorder_key
from factory.instance.workspace import Workspace
from tests.servers import TOOL_ENV

PRINTS = f"{sys.executable} -c"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Workspace]:
    for name in ("policies", ".git"):
        (tmp_path / "clone" / name).mkdir(parents=True)

    def opened(**more: str) -> Workspace:
        environment = {**TOOL_ENV, "HOME": str(tmp_path), **more}
        settings = load(environment, cwd=tmp_path / "clone", flags={})
        return Workspace(settings, environment, lambda _: None)

    return opened


def printing(text: str) -> str:
    return f"{PRINTS} {shlex.quote(f'print({text!r})')}"


def test_a_keyrings_command_opens_a_sealed_key(machine: Callable[..., Workspace]) -> None:
    plain = machine()
    recorder_key.ensure(plain)
    command = printing("one two\nnot this")
    keyring = machine(FACTORY_KEY_PASSPHRASE_COMMAND=command)
    made = recorder_key.make_successor(keyring, recorder_key.stored_passphrase(keyring))
    trusted = _Everything()
    assert recorder_key.in_use(keyring, trusted).public == made
    assert recorder_key.current(machine(FACTORY_KEY_PASSPHRASE="one two")).public == made
    # The variable comes first, and a key without passphrase asks nobody.
    both = machine(FACTORY_KEY_PASSPHRASE="one two", FACTORY_KEY_PASSPHRASE_COMMAND="false")
    assert recorder_key.current(both).public == made
    with pytest.raises(InvalidInput, match="missing or wrong") as raised:
        recorder_key.current(machine())
    assert recorder_key.COMMAND in raised.value.hint


def test_a_key_without_passphrase_runs_no_command(machine: Callable[..., Workspace]) -> None:
    assert recorder_key.ensure(machine(FACTORY_KEY_PASSPHRASE_COMMAND="false")).public


@pytest.mark.parametrize(
    ("command", "error", "said"),
    [
        ("false", ToolFailed, "false"),
        ("true", InvalidInput, "printed no passphrase"),
        ("'", InvalidInput, "not a command"),
        (" ", InvalidInput, "printed no passphrase"),
        ("/no/such/program", FactoryError, "/no/such/program"),
        (printing(""), InvalidInput, "printed no passphrase"),
    ],
)
def test_a_command_that_gives_no_passphrase_is_named(
    machine: Callable[..., Workspace], command: str, error: type[FactoryError], said: str
) -> None:
    with pytest.raises(error, match=said):
        recorder_key.stored_passphrase(machine(FACTORY_KEY_PASSPHRASE_COMMAND=command))


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True
