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


@pytest.mark.long
def test_a_package_of_the_factorys_name_is_the_apps(tmp_path: Path) -> None:
    for name in ("policies", ".git", "factory"):
        (tmp_path / name).mkdir()
    (tmp_path / "factory/__init__.py").write_text("OURS = 1\n")
    (tmp_path / "test_x.py").write_text("import factory\n\n\ndef test_it():\n    assert factory.OURS == 1\n")
    (tmp_path / "policies/apps.yml").write_text("root: factory\nsources: [factory]\n")
    gates = (
        (ROOT / "policies/gates.yml").read_text().replace("--source=apps, -m, pytest, apps", "--source=., -m, pytest")
    )
    (tmp_path / "policies/gates.yml").write_text(gates)
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-P", "-m", "factory", "app", "test", "out"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_says_how_it_is_called() -> None:
    done = subprocess.run([ROOT / "scripts/unit"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "usage: scripts/unit OUT [PYTHON]" in done.stderr
