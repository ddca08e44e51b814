"""A failed deployment: the traffic returns to the previous release, and the evidence records it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_refusals import assert_told
from tests.instances import demonstrated

DEMO = ("--instance", "demo")
pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]


def break_release(state: Path, name: str) -> None:
    """Kill a release's process, if it runs, and damage its archive, as a broken machine does."""
    releases = state / "cloudflare/releases"
    (releases / f"{name}.archive").write_bytes(b"damaged")
    subprocess.run(["pkill", "-KILL", "-f", f"^{releases}/unpacked/{name}/"], check=False)


@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_the_traffic_returns_if_a_deployment_does_not_answer(tmp_path: Path) -> None:
    made = demonstrated(tmp_path, "apply:before")
    try:
        state = made.folder("demo")
        waiting, before = made.json(*DEMO, "deploy", "list")[0], made.json(*DEMO, "deploy", "list")[-1]
        break_release(state, f"hello-{waiting['sha']}")
        done = made.run("demo", "--yes", "--keep", check=False)
        assert_told(done, 5, f"its traffic is back at hello-{before['sha']}")
        jobs = {job["name"]: job["status"] for job in made.json(*DEMO, "pipeline", "show", str(waiting["pipeline"]))}
        assert [jobs[f"{kind}-production"] for kind in ("apply", "verify", "return")] == [
            "success",
            "failed",
            "success",
        ]
        kinds = [item["kind"] for item in made.json(*DEMO, "evidence", "list")]
        assert kinds[-3:] == ["apply", "deploy", "return"]
        verdict = json.loads(made.run(*DEMO, "evidence", "verify", "1", "--json", check=False).stdout)
        assert [item["rule"] for item in verdict["checks"] if not item["passed"]] == ["EV-CHAIN-DEPLOY"]
        assert any("its traffic returned to" in notice for notice in verdict["notices"])
        assert f"its traffic is back at hello-{before['sha']}" in made.run(*DEMO, "issue", "show", "1").stdout
    finally:
        made.run(*DEMO, "down", check=False)
