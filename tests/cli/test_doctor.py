"""``factory doctor`` on this machine, and without its programs."""

import json
import platform
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory.cli.doctor import command
from factory.errors import MachineError
from factory.sandbox import diagnosis, launch
from factory.sandbox.held import HELD
from factory.sandbox.launch import Level
from tests.cli import command_line
from tests.servers import TOOL_PATH


def test_it_shows_what_is_installed() -> None:
    ended = CliRunner().invoke(command, ["--json"])
    said = json.loads(ended.stdout)
    found = {item["thing"]: item for item in said["findings"]}
    assert set(found) == {"bubblewrap", "user namespaces", "control groups", "git", "node", "terraform"}
    assert found["git"]["state"] == "ok"
    lacking = [item for item in found.values() if item["required"] and item["state"] != "ok"]
    assert isinstance(ended.exception, MachineError) is bool(lacking)
    assert said["level"] == (Level.HOST if launch.probe(TOOL_PATH) is None else Level.BWRAP)
    assert all(item["contained"] is (said["level"] == Level.BWRAP) for item in said["held"])


def test_a_machine_without_containment_says_what_is_not_held(tmp_path: Path) -> None:
    for name in ("git", "node"):
        (tmp_path / name).symlink_to(shutil.which(name, path=TOOL_PATH) or "")
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    said = command_line.run(["doctor"], cwd=tmp_path, env=env).stdout
    assert "at the sandbox level host of this machine" in said
    assert said.count("not held") == len(HELD[Level.HOST])
    assert "Agents whose `sandbox` in policies/agents.yml is bwrap do not start here." in said


@pytest.mark.parametrize("folder", ["terraform/live/staging", "apps/shop"])
def test_terraform_is_needed_only_where_it_has_roots(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    env = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    said = json.loads(command_line.run(["doctor", "--json"], cwd=tmp_path, env=env).stdout)
    (found,) = [item for item in said["findings"] if item["thing"] == "terraform"]
    assert (found["state"], found["required"]) == ("missing", folder.startswith("terraform"))


def test_on_macos_the_level_is_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    (only,) = diagnosis.contained(str(tmp_path))
    assert (only.found, only.required) == ("not Linux: sandbox level host", False)
    assert "a virtual one" in only.fix


def test_a_machine_without_bubblewrap(tmp_path: Path) -> None:
    (first,) = diagnosis.contained(str(tmp_path))
    assert (first.state, first.required) == ("missing", True)
    assert "apt-get install bubblewrap" in first.fix


@pytest.mark.skipif(launch.probe(TOOL_PATH) is None, reason="bubblewrap does not work here")
def test_bubblewrap_that_may_not_create_namespaces(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit 0\nexit 1\n')
    program.chmod(0o755)
    first, second = diagnosis.contained(str(tmp_path))
    assert (first.state, first.found) == ("ok", "bubblewrap 0.8.0")
    assert second.state == "fix"
    assert second.fix
