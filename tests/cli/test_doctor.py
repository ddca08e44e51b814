"""``factory doctor`` on this machine, and without its programs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory.cli import doctor
from factory.cli.doctor import command
from factory.errors import MachineError
from factory.sandbox import launch
from tests.servers import TOOL_PATH


def test_it_shows_what_is_installed() -> None:
    ended = CliRunner().invoke(command, ["--json"])
    found = {item["thing"]: item for item in json.loads(ended.stdout)}
    assert set(found) == {"bubblewrap", "user namespaces", "control groups", "git", "node", "terraform"}
    assert found["git"]["state"] == "ok"
    lacking = [item for item in found.values() if item["required"] and item["state"] != "ok"]
    assert isinstance(ended.exception, MachineError) is bool(lacking)


def test_a_machine_without_bubblewrap(tmp_path: Path) -> None:
    (first,) = doctor.contained(str(tmp_path))
    assert (first.state, first.required) == ("missing", True)
    assert "apt-get install bubblewrap" in first.fix


@pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
def test_bubblewrap_that_may_not_create_namespaces(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit 0\nexit 1\n')
    program.chmod(0o755)
    first, second = doctor.contained(str(tmp_path))
    assert (first.state, first.found) == ("ok", "bubblewrap 0.8.0")
    assert second.state == "fix"
    assert second.fix
