"""Tests of the budgets of whole runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.budget import Run
from tests.servers import ROOT


@pytest.mark.parametrize(
    ("wall", "cores", "others", "slower", "exceeded", "told"),
    [
        (359.0, 2, 0.0, 0.8, False, "make test: 359 s of 360 s"),
        (361.0, 2, 0.0, 1.0, True, "make test: 361 s of 360 s: the budget is exceeded"),
        (361.0, 1, 0.0, 1.0, False, "make test: 361 s of 360 s: not judged, other programs used 0% of 1 cores"),
        (500.0, 2, 0.4, 1.0, False, "make test: 500 s of 360 s: not judged, other programs used 40% of 2 cores"),
        (361.0, 2, 0.0, 1.5, False, "make test: 361 s of 540 s (360 s x 1.50, the machine is slow)"),
        (
            541.0,
            2,
            0.0,
            1.5,
            True,
            "make test: 541 s of 540 s (360 s x 1.50, the machine is slow): the budget is exceeded",
        ),
        (300.0, 2, 0.4, 1.0, False, "make test: 300 s of 360 s"),
    ],
)
def test_a_run_fails_only_if_it_is_slow_by_itself(
    wall: float,
    cores: int,
    others: float,
    slower: float,
    exceeded: bool,  # noqa: FBT001 - parametrized
    told: str,
) -> None:
    run = Run("make test", 360, wall, cores, others, slower)
    assert (run.exceeded, run.summary) == (exceeded, told)


@pytest.mark.parametrize("code", [0, 3])
def test_the_commands_exit_code_is_kept(code: int, tmp_path: Path) -> None:
    argv = [sys.executable, str(ROOT / "tests/budget.py"), "make test", "--", sys.executable, "-c", f"exit({code})"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    seconds = json.loads((ROOT / "tests/budgets.json").read_text())["make test"]
    assert done.returncode == code, done.stderr
    assert re.fullmatch(
        rf"make test: \d s of ({seconds} s|\d+ s \({seconds} s x \d+\.\d\d, the machine is slow\))\n", done.stdout
    )
