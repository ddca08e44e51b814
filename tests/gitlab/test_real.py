"""The whole main job on a GitLab that is named from outside, in a project made for it and deleted again.

`make test-gitlab URL=https://gitlab.com`, with FACTORY_TEST_TOKEN and FACTORY_TEST_BOT_TOKEN, the tokens of two
accounts, in the environment; FACTORY_TEST_NAMESPACE is a group to work in, FACTORY_TEST_VARIABLES a JSON file of the CI
variables that the pipeline needs (docs/terraform.md). `tests/cli/gitlab/test_real.py` does it on the loopback one.
"""

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gitlab
import pytest

from factory.gitlab.conformance_transcript import Answer, faults
from factory.operations import conformance
from tests.instances import Instance, make_instance
from tests.servers import ROOT, wait_for

pytestmark = pytest.mark.real
REAL = ("--instance", "real")
# A hosted runner may have to install what a job needs.
PATIENCE = 1800


@dataclass(frozen=True)
class Target:
    """The server, its two accounts' tokens, where to work, and the pipeline's variables."""

    url: str
    token: str
    bot_token: str
    namespace: str
    variables: dict[str, Any]

    def client(self, token: str) -> gitlab.Gitlab:
        return gitlab.Gitlab(self.url, private_token=token)

    def username(self, token: str) -> str:
        client = self.client(token)
        client.auth()
        assert client.user is not None
        return str(client.user.username)


@pytest.fixture(scope="module")
def target() -> Target:
    names = ("FACTORY_TEST_URL", "FACTORY_TEST_TOKEN", "FACTORY_TEST_BOT_TOKEN")
    missing = [name for name in names if not os.environ.get(name)]
    assert not missing, f"missing in the environment: {', '.join(missing)}"
    url, token, bot_token = (os.environ[name] for name in names)
    file = os.environ.get("FACTORY_TEST_VARIABLES")
    found = Target(url, token, bot_token, "", json.loads(Path(file).read_text()) if file else {})
    return Target(
        url, token, bot_token, os.environ.get("FACTORY_TEST_NAMESPACE") or found.username(token), found.variables
    )


HELD = {"ci_still_running", "ci_must_pass", "not_approved"}


@pytest.fixture
def connected(target: Target, tmp_path: Path) -> Iterator[tuple[Instance, Any]]:
    """Connect a clone, with two accounts, to a new project; it is deleted whatever happens."""
    made = make_instance(tmp_path)
    made.bind(target.username(target.bot_token))
    path = f"{target.namespace}/factory-test-{secrets.token_hex(4)}"
    try:
        for token, more in ((target.token, ()), (target.bot_token, ("--bot",))):
            made.run(*REAL, "connect", target.url, "--project", path, "--yes", *more, stdin=token)
        project = target.client(target.token).projects.get(path)
        for key, value in target.variables.items():
            given = value if isinstance(value, dict) else {"value": value}
            project.variables.create({"key": key, "raw": True, **given})
        yield made, project
    finally:
        target.client(target.token).http_delete(f"/projects/{path.replace('/', '%2F')}")


def test_it_answers_as_the_loopback_one_does(target: Target) -> None:
    found = conformance.record(target.url, token=target.token, namespace=target.namespace, say=print)
    kept = json.loads((ROOT / f"docs/conformance/local-{found.tier}.json").read_text())
    assert faults(found.answers, [Answer(**item) for item in kept["answers"]]) == []


def test_an_issue_travels_from_open_to_deployed(connected: tuple[Instance, Any]) -> None:
    made, project = connected
    assert made.run(*REAL, "gitlab", "plan").returncode == 0
    made.run(*REAL, "issue", "new", "Greet a visitor by name", "--spec", "hello")
    made.run(*REAL, "work", "--once")
    request = project.mergerequests.get(1)
    # The commit status factory/approval holds it.
    wait_for(lambda: project.mergerequests.get(1).detailed_merge_status in HELD, seconds=PATIENCE)
    made.run(*REAL, "mr", "approve", str(request.iid))
    made.run(*REAL, "work", "--once")
    assert project.mergerequests.get(1).state == "merged"
    waiting = next(item for item in made.json(*REAL, "deploy", "list") if item["environment"] == "production")
    made.run(*REAL, "deploy", "approve", str(waiting["id"]))
    made.run(*REAL, "work", "--once")
    assert project.issues.get(1).state == "closed"
    report = json.loads(made.run(*REAL, "evidence", "verify", "1", "--json").stdout)
    assert (report["passed"], report["complete"]) == (True, True)
