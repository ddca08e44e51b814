"""Drift end to end: a setting is changed at Cloudflare, the schedule runs, one issue reports it until it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest
import requests

from tests.instances import Instance, founded
from tests.servers import wait_for

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Instance]:
    made = founded(tmp_path)
    yield made
    made.run("down", check=False)


class Outside:
    """Changes a setting of the zone outside this repository."""

    def __init__(self, running: Instance) -> None:
        ports = json.loads((running.folder() / "instance.json").read_text())["ports"]
        token = json.loads((running.folder() / "tokens/cloudflare.json").read_text())["apply"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._api = f"http://127.0.0.1:{ports['cloudflare']}/client/v4"
        zone = next(item for item in self.call("GET", "/zones") if item["name"] == "hello.test")
        self._setting = f"/zones/{zone['id']}/settings/min_tls_version"

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._session.request(method, self._api + path, timeout=30, **arguments)
        assert answer.ok, answer.text
        return answer.json()["result"]

    def set(self, value: str) -> None:
        self.call("PATCH", self._setting, json={"value": value})


def play(running: Instance) -> Any:
    """Run the schedule that ``factory up`` created, as the operator does in GitLab; return its pipeline's jobs."""
    ports = json.loads((running.folder() / "instance.json").read_text())["ports"]
    token = (running.folder() / "tokens/operator").read_text().strip()
    client = gitlab.Gitlab(f"http://127.0.0.1:{ports['gitlab']}", private_token=token)
    project = client.projects.list(get_all=True)[0]
    schedules: Any = project.pipelineschedules
    (schedule,) = schedules.list(get_all=True)
    assert (schedule.description, schedule.ref) == ("drift", "refs/heads/main")
    schedules.get(schedule.id, lazy=True).play()
    newest = schedule.pipelines.list(get_all=True)[-1]
    ended = {"success", "failed", "canceled", "skipped", "manual"}
    pipeline = wait_for(lambda: (p := project.pipelines.get(newest.id)).status in ended and p)
    failed = [job for job in pipeline.jobs.list(get_all=True) if job.status == "failed"]
    assert not failed, project.jobs.get(failed[0].id).trace().decode()
    return {job.name: project.jobs.get(job.id) for job in pipeline.jobs.list(get_all=True)}


def drifts(running: Instance) -> list[tuple[str, str]]:
    found = running.json("issue", "list", "--all")
    return [(item["title"], item["state"]) for item in found if "Drift" in item["title"]]


def test_one_issue_reports_drift_until_it_ends(running: Instance) -> None:
    outside = Outside(running)
    jobs = play(running)
    assert set(jobs) == {"validate", "drift"}
    assert b"production: nothing differs" in jobs["drift"].trace()
    running.run("work", "--once")
    assert drifts(running) == []

    outside.set("1.1")
    trace = play(running)["drift"].trace()
    assert b'update module.zone.cloudflare_zone_setting.this["min_tls_version"] value' in trace
    assert b"1.1" not in trace, "values are in the issue, not in the log"
    for _ in range(2):
        running.run("work", "--once")
        assert drifts(running) == [("Drift: production", "opened")]
    shown = running.run("issue", "show", "1").stdout
    assert "1.1" in shown
    assert "1.2" in shown
    play(running)
    running.run("work", "--once")
    assert drifts(running) == [("Drift: production", "opened")]

    outside.set("1.2")
    play(running)
    running.run("work", "--once")
    assert drifts(running) == [("Drift: production", "closed")]
