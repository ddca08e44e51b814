"""The main job end to end, by the real command line: once as it is, once killed at every step boundary."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.instance import Instance, make_instance

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


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Instance]:
    made = make_instance(tmp_path)
    yield made
    made.run("--instance", "demo", "down", check=False)


def assert_shipped_once(demo: Instance) -> None:
    """One merge request, one deployment after the first, one issue closed, evidence whole, nothing twice."""
    issues = demo.json("--instance", "demo", "issue", "list", "--all")
    assert [(item["iid"], item["state"], item["labels"]) for item in issues] == [(1, "closed", [])]
    requests = demo.json("--instance", "demo", "mr", "list", "--all")
    assert [(item["iid"], item["state"]) for item in requests] == [(1, "merged")]
    deployments = demo.json("--instance", "demo", "deploy", "list")
    assert [item["status"] for item in deployments] == ["success", "success"]
    report = demo.json("--instance", "demo", "evidence", "verify", "1", "--offline")
    assert report["passed"]
    assert report["complete"]
    keys = [item["key"] for item in demo.json("--instance", "demo", "evidence", "list")]
    assert len(keys) == len(set(keys))
    kinds = [re.split("/", key)[0] for key in keys]
    assert [kinds.count(kind) for kind in ("claim", "merge", "apply", "deploy")] == [1, 1, 1, 1]
    notes = demo.run("--instance", "demo", "issue", "show", "1").stdout
    assert notes.count("<!-- factory:shipped") == 1


def result(done: Any) -> Any:
    """Return what the demo printed as JSON."""
    return json.loads(done.stdout)


def test_an_issue_travels_from_open_to_deployed(demo: Instance) -> None:
    done = result(demo.run("demo", "--yes", "--keep", "--json"))
    assert done["answer"] == '{"greeting": "Hello, Ada!"}'
    assert any("simulated approval" in notice for notice in done["notices"])
    assert_shipped_once(demo)
    changed = demo.folder("demo") / "mirror.git"
    assert changed.exists()


def test_killed_at_every_step_boundary_and_resumed(demo: Instance) -> None:
    reached = []
    for point in POINTS:
        done = demo.run("demo", "--yes", "--keep", check=False, FACTORY_KILL_AT=point)
        assert done.returncode in {0, -9}, done.stderr
        if done.returncode == 0:
            break
        reached.append(point)
    assert reached == POINTS
    assert result(demo.run("demo", "--yes", "--keep", "--json"))["answer"] == '{"greeting": "Hello, Ada!"}'
    assert_shipped_once(demo)


def test_losing_the_engines_store_half_way_loses_nothing(demo: Instance) -> None:
    for point in ("check-1:after", "watch-1:after", "plan:before", "apply:after"):
        assert demo.run("demo", "--yes", "--keep", check=False, FACTORY_KILL_AT=point).returncode == -9
        shutil.rmtree(demo.folder("demo") / "engine")
    demo.run("demo", "--yes", "--keep")
    assert_shipped_once(demo)
