"""The wrapper `scripts/unit` leaves what `factory gate` reads: log, exit code, JUnit report and coverage."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory.checks import coverage, junit
from tests.servers import ROOT

TESTS = {"success": "def test_it():\n    assert True\n", "failed": "def test_it():\n    assert False\n"}


@pytest.mark.long
@pytest.mark.parametrize(("outcome", "code"), [("success", 0), ("failed", 6)])
def test_a_run_leaves_its_reports(outcome: str, code: int, tmp_path: Path) -> None:
    for name in ("apps/x", "policies", ".git"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / "policies/scope.yml", tmp_path / "policies")
    (tmp_path / "apps/x/test_x.py").write_text(TESTS[outcome])
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [ROOT / "scripts/unit", "out", sys.executable],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    out = tmp_path / "out"
    assert (out / "log.txt").read_text() == done.stdout.removesuffix("\n")
    run = junit.read((out / "junit.xml").read_bytes(), (out / "exit").read_bytes())
    assert [case.outcome for case in run.cases] == [outcome]
    assert coverage.read((out / "coverage.json").read_bytes()) is not None
    assert json.loads((out / "coverage.json").read_text())["files"]


def test_it_says_how_it_is_called() -> None:
    done = subprocess.run([ROOT / "scripts/unit"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "usage: scripts/unit OUT [PYTHON]" in done.stderr
