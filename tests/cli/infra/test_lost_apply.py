"""An apply that worked and whose job was lost: a later plan proves it, so nobody applies or approves it again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.infra.test_infra import DEMO, serial_of, state_address
from tests.cli.test_refusals import connect, runners, url
from tests.instances import Instance, demonstrated
from tests.servers import PATIENCE, wait_for


def lose_after_saving(made: Instance) -> str:
    """Apply the approved plan, and kill the runner once terraform has saved the state; return what the command said."""
    address, folder = state_address(made)
    client = connect(url(Path(folder)), "root", Path(folder))
    before = serial_of(client, address)
    argv = [sys.executable, "-P", "-m", "factory", *DEMO, "work", "--once"]
    work = subprocess.Popen(argv, cwd=made.clone, env=made.env(), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: serial_of(client, address) > before)
    for pid in runners(made.folder("demo")):
        os.kill(pid, signal.SIGKILL)
    _, errors = work.communicate(timeout=PATIENCE)
    assert work.returncode == 12, errors
    return errors


@pytest.mark.matrix(4, group="flows")
@pytest.mark.long
@pytest.mark.slow
def test_a_lost_apply_whose_new_plan_is_empty_is_checked_and_closed(tmp_path: Path) -> None:
    made = demonstrated(tmp_path, "apply:before")
    try:
        assert "infra recover 1" in lose_after_saving(made)
        assert "infra recover 1" in made.run(*DEMO, "work", "--once").stdout
        assert made.json(*DEMO, "infra", "recover", "1")["unlocked"]
        done = made.run(*DEMO, "work", "--once")
        assert "by proof" in done.stderr
        assert made.json(*DEMO, "issue", "list", "--all")[0]["state"] == "closed"
        report = made.json(*DEMO, "evidence", "verify", "1", "--offline")
        assert (report["passed"], report["complete"]) == (True, True)
        assert any("counts as done by proof" in notice for notice in report["notices"])
        kinds = [item["kind"] for item in made.json(*DEMO, "evidence", "list")]
        assert (kinds.count("apply"), kinds.count("proof"), kinds[-2:]) == (3, 1, ["proof", "deploy"])
        production = [item for item in made.json(*DEMO, "deploy", "list") if item["environment"] == "production"]
        assert [item["status"] for item in production] == ["blocked", "failed", "success"]
        assert made.json(*DEMO, "status")["waiting_deployments"] == []
    finally:
        made.run(*DEMO, "down", check=False)
