"""``factory customize`` by the real command line: a file that the factory brings along becomes the repository's own."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli import command_line
from tests.cli.test_refusals import assert_told
from tests.servers import ROOT


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    (tmp_path / ".git").mkdir()
    return tmp_path


def call(here: Path, *arguments: str) -> Any:
    env = {"PATH": os.environ["PATH"], "HOME": str(here)}
    return command_line.run(["customize", *arguments], cwd=here / "policies", env=env)


def test_a_file_is_copied_once(here: Path) -> None:
    name = "runbooks/roll-back.md"
    text = (ROOT / name).read_text()
    assert call(here, name, "--print").stdout == text
    assert not (here / name).exists()
    call(here, name)
    assert (here / name).read_text() == text
    assert_told(call(here, name), 7, "exists already", "Edit it")
    rows = {row["file"]: row["default"] for row in json.loads(call(here, "--json").stdout)}
    assert not rows[name]
    assert rows["policies/gates.yml"]


@pytest.mark.parametrize("name", ["runbooks/none.md", "../x", "factory/errors.py"])
def test_other_files_are_refused(here: Path, name: str) -> None:
    assert_told(call(here, name), 4, "brings no", "factory customize")
