"""The main job end to end, by the real command line: once as it is, once killed at every step boundary."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory.system import process_tree
from tests import matrix
from tests.cli.test_refusals import connect, url
from tests.instances import Instance, founded, make_instance
from tests.servers import wait_for

pytestmark = pytest.mark.slow

PER_ATTEMPT = ("work", "check", "propose", "watch")
STEPS = [
    "claim",
    *(f"{step}-{number}" for number in (1, 2) for step in PER_ATTEMPT),
    "present",
    "merge",
    "plan",
    "apply",
    "verify",
    "close",
]
POINTS = [f"{step}:{side}" for step in STEPS for side in ("before", "after")]
# Where the engine's store is lost too: what GitLab, git and the evidence say is enough.
STORE_LOST = {"check-1:after", "watch-1:after", "plan:before", "apply:after"}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Instance]:
    made = make_instance(tmp_path)
    yield made
    made.run("--instance", "demo", "down", check=False)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Instance]:
    """Return an instance with a demo that deployed its infrastructure."""
    made = founded(tmp_path, name="demo")
    yield made
    made.run("--instance", "demo", "down", check=False)


def assert_shipped_once(demo: Instance, *, retried: int = 0, recovered: int = 0) -> None:
    """One merge request, one more deployment to each environment, one issue closed, evidence whole, nothing twice.

    Each time that a person offered the issue again, one session and its merge request were given up before. Each time
    that a person recovered from an interrupted apply, a deployment had failed, and what it left was applied again.
    """
    issues = demo.json("--instance", "demo", "issue", "list", "--all")
    assert [(item["iid"], item["state"], item["labels"]) for item in issues] == [(1, "closed", [])]
    requests = demo.json("--instance", "demo", "mr", "list", "--all")
    *given_up, merged = sorted((item["iid"], item["state"]) for item in requests)
    assert merged[1] == "merged"
    assert {state for _, state in given_up} <= {"closed"}
    assert len(given_up) <= retried
    deployments = demo.json("--instance", "demo", "deploy", "list")
    done = [item["environment"] for item in deployments if item["status"] == "success"]
    assert done == ["production", "staging"] * 2
    assert sum(item["status"] == "failed" for item in deployments) <= recovered
    assert len(deployments) <= 4 + 2 * recovered
    folder = demo.folder("demo")
    project = connect(url(folder), "root", folder).projects.get("factory/control")
    (release,) = project.releases.list(get_all=True)
    assert release.tag_name == f"production-{deployments[0]['sha'][:12]}"
    report = demo.json("--instance", "demo", "evidence", "verify", str(merged[0]), "--offline")
    assert report["passed"]
    assert report["complete"]
    keys = [item["key"] for item in demo.json("--instance", "demo", "evidence", "list")]
    assert len(keys) == len(set(keys))
    kinds = [re.split("/", key)[0] for key in keys]
    assert [kinds.count(kind) for kind in ("merge", "deploy")] == [1, 2]
    assert 2 <= kinds.count("apply") <= 2 + recovered
    assert 1 <= kinds.count("claim") <= 1 + retried
    notes = [note.body for note in project.issues.get(1).notes.list(get_all=True)]
    assert sum("<!-- factory:shipped" in note for note in notes) == 1


def result(done: Any) -> Any:
    """Return what the demo printed as JSON."""
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_person_at_a_terminal_decides_twice(demo: Instance) -> None:
    master, terminal = pty.openpty()
    argv = [sys.executable, "-P", "-m", "factory", "demo", "--keep"]
    running = subprocess.Popen(
        argv, cwd=demo.clone, env=demo.env(TERM="xterm"), stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = ""
    for question in ("Approve !1 at", "Approve the deployment of"):
        while f"{question}" not in shown or not shown.rstrip().endswith("[y/N]:"):
            shown += os.read(master, 65536).decode(errors="replace")
        os.write(master, b"y\n")
        shown = ""
    while running.poll() is None:
        try:
            shown += os.read(master, 65536).decode(errors="replace")
        except OSError:
            break
    assert running.wait(10) == 0, shown
    os.close(master)
    assert "Hello, Ada!" in shown
    assert "simulated" not in shown
    assert_shipped_once(demo)
    approvals = [
        item["key"] for item in demo.json("--instance", "demo", "evidence", "list") if item["kind"] == "approval"
    ]
    assert [key.rsplit("/", 1)[-1] for key in approvals] == ["operator", "operator"]


@pytest.mark.long
def test_killed_at_step_boundaries_with_its_store_lost_at_some_and_resumed(
    begun: Instance, pytestconfig: pytest.Config
) -> None:
    chosen = POINTS if pytestconfig.getoption("every_row") else matrix.some(POINTS, 3, f"{matrix.seed()} kills")
    points, reached = [point for point in POINTS if point in chosen], []
    for point in points:
        done = begun.run("demo", "--yes", "--keep", check=False, FACTORY_KILL_AT=point)
        assert done.returncode in {0, -9}, done.stderr
        if done.returncode == 0:
            break
        reached.append(point)
        if point in STORE_LOST:
            shutil.rmtree(begun.folder("demo") / "engine")
    assert reached == points
    last = begun.run("demo", "--yes", "--keep", "--json")
    done = result(last)
    assert "before:" not in last.stderr, "a resumed demo does not say that it begins"
    assert all(seconds >= 0 for seconds in done["seconds"].values())
    assert done["answer"] == '{"greeting": "Hello, Ada!"}'
    assert any("simulated approval" in notice for notice in done["notices"])
    assert_shipped_once(begun)
    traced = result(begun.run("--instance", "demo", "spec", "trace", "hello", "--json", check=False))
    assert traced["evidence"]["ref"] == "origin/factory/evidence"
    assert "recorded" in {row["result"] for row in traced["rows"]}
    assert any(row["issues"] == [1] and row["merge_requests"] == [1] for row in traced["rows"])


@pytest.mark.long
def test_a_runner_ends_with_the_server_that_started_it(tmp_path: Path) -> None:
    made = founded(tmp_path)
    server = json.loads((made.folder() / "daemon.json").read_text())["pid"]
    words = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in process_tree.family(server)}
    found = [pid for pid in words if b"runner" in words[pid]]
    guards = [pid for pid in found if words[pid][0] == b"/bin/sh"]  # each kills its program's group with the server
    (runner,) = set(found) - set(guards)
    for pid in (*guards, server):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{runner}").exists())
    made.run("down")
