"""A failed deployment: the traffic returns to the previous release, and the evidence records it."""

import json
from pathlib import Path

import pytest

from tests.cli.infra.test_infra import DEMO, deploy_what_waits, ship_by_hand
from tests.cli.test_refusals import assert_told
from tests.instances import demonstrated

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]


# Healthy where the host asks, and not where visitors do.
HEALTHY = "    return answer(start, status, body)"
SICK = """    sick = route is version and environ.get("HTTP_HOST") == "www.hello.test"
    return answer(start, HTTPStatus.SERVICE_UNAVAILABLE if sick else status, body)"""


@pytest.mark.matrix(4, group="flows")
@pytest.mark.slow
def test_the_traffic_returns_if_a_deployment_does_not_answer(tmp_path: Path) -> None:
    made = demonstrated(tmp_path, "apply:before")
    try:
        made.run(*DEMO, "demo", "--yes", "--keep")
        before = made.json(*DEMO, "deploy", "list")[0]
        ship_by_hand(made, HEALTHY, SICK)
        waiting = made.json(*DEMO, "deploy", "list")[0]
        done = deploy_what_waits(made, code=5)
        assert_told(done, 5, f"its traffic is back at hello-{before['sha']}")
        jobs = {job["name"]: job["status"] for job in made.json(*DEMO, "pipeline", "show", str(waiting["pipeline"]))}
        assert [jobs[f"{kind}-production"] for kind in ("apply", "verify", "return")] == [
            "success",
            "failed",
            "success",
        ]
        kinds = [item["kind"] for item in made.json(*DEMO, "evidence", "list")]
        assert kinds[-3:] == ["apply", "deploy", "return"]
        verdict = json.loads(made.run(*DEMO, "evidence", "verify", "2", "--json", check=False).stdout)
        assert [item["rule"] for item in verdict["checks"] if not item["passed"]] == ["EV-CHAIN-DEPLOY"]
        assert any("its traffic returned to" in notice for notice in verdict["notices"])
        assert f"its traffic is back at hello-{before['sha']}" in made.run(*DEMO, "mr", "show", "2").stdout
    finally:
        made.run(*DEMO, "down", check=False)
