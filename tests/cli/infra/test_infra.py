"""An operator's infrastructure commands on a real instance: rollback, locks, state versions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.cli.test_own_change import HELLO
from tests.cli.test_refusals import assert_told, connect, url
from tests.instances import Instance, demonstrated
from tests.servers import wait_for

DEMO = ("--instance", "demo")
pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    made = demonstrated(tmp_path_factory.mktemp("infra"), "apply:before")
    made.run("demo", "--yes", "--keep")
    ship_by_hand(made, "without dependencies", "on Python alone")
    deploy_what_waits(made)
    yield made
    made.run(*DEMO, "down", check=False)


def ship_by_hand(made: Instance, before: str, after: str) -> None:
    """Change the app of a finished demo, and merge that; its deployment waits for its approval."""
    project = connect(url(made.folder("demo")), "operator", made.folder("demo")).projects.get("factory/control")
    text = project.files.get(HELLO, ref="main").decode().decode()
    assert before in text
    actions = [{"action": "update", "file_path": HELLO, "content": text.replace(before, after)}]
    change = {"branch": "mine", "start_branch": "main", "commit_message": "Say it\n\nSpec: hello", "actions": actions}
    project.commits.create(change)
    number = project.mergerequests.create({"source_branch": "mine", "target_branch": "main", "title": "Say it"}).iid
    runs = project.mergerequests.get(number).pipelines
    ended = wait_for(lambda: (run := runs.list(get_all=True)[0]).status in {"success", "failed"} and run)
    assert ended.status == "success", made.run(*DEMO, "pipeline", "logs", str(ended.id)).stdout
    made.run(*DEMO, "work", "--once")
    made.run(*DEMO, "mr", "approve", str(number))
    made.run(*DEMO, "work", "--once")


def deploy_what_waits(made: Instance, code: int = 0) -> Any:
    """Approve the deployment that waits, and let the factory apply it; return what that said."""
    [waiting] = [item for item in made.json(*DEMO, "deploy", "list") if item["status"] == "blocked"]
    made.run(*DEMO, "deploy", "approve", str(waiting["id"]))
    done = made.run(*DEMO, "work", "--once", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def state_address(made: Instance) -> tuple[str, str]:
    folder: Path = made.folder("demo")
    project = connect(url(folder), "root", folder).projects.get("factory/control")
    return f"/projects/{project.id}/terraform/state/production", str(folder)


def serial_of(client: gitlab.Gitlab, address: str) -> int:
    answer: Any = client.http_get(address, raw=True)
    return int(answer.json()["serial"])


def test_back_to_the_last_verified_release_through_the_same_gate(shipped: Instance) -> None:
    before = shipped.json(*DEMO, "deploy", "list")[0]
    assert_told(
        shipped.run(*DEMO, "infra", "rollback", "--to", "f" * 40, "--reason", "x", check=False), 4, "no verified"
    )
    started = shipped.json(*DEMO, "infra", "rollback", "--reason", "the greeting is wrong")
    assert before["sha"].startswith(started["from"])
    assert "merge" in shipped.run(*DEMO, "work", "--once").stdout
    waiting = shipped.json(*DEMO, "deploy", "list")[0]
    assert (waiting["status"], waiting["pipeline"]) == ("blocked", started["pipeline"])
    assert "goes back to the release of" in shipped.run(*DEMO, "mr", "show", "2").stdout
    shipped.run(*DEMO, "deploy", "approve", str(waiting["id"]))
    done = shipped.run(*DEMO, "work", "--once", check=False)
    assert done.returncode == 0, shipped.run(*DEMO, "pipeline", "logs", str(waiting["pipeline"])).stdout
    assert f"hello-{started['to']}" in done.stderr
    kinds = [item["kind"] for item in shipped.json(*DEMO, "evidence", "list")]
    assert kinds[-8:] == ["rollback", "plan", "plan", "apply", "deploy", "approval", "apply", "deploy"]
    shipped.run(*DEMO, "evidence", "verify", "2")


def test_a_lock_is_shown_and_released_with_a_reason(shipped: Instance) -> None:
    address, folder = state_address(shipped)
    client = connect(url(Path(folder)), "root", Path(folder))
    body = dict.fromkeys(("Operation", "Info", "Version", "Created", "Path"), "x") | {"ID": "7", "Who": "me@laptop"}
    client.http_post(f"{address}/lock", post_data=body)
    (held,) = (item for item in shipped.json(*DEMO, "infra", "locks") if item["stack"] == "production")
    assert (held["locked"], held["by"]) == (True, "me@laptop")
    unlock = (*DEMO, "infra", "unlock", "production", "--reason", "the laptop is gone")
    assert_told(shipped.run(*unlock, check=False), 5, "nobody knows whether its owner has ended")
    assert shipped.json(*unlock, "--force")["Who"] == "me@laptop"
    assert_told(shipped.run(*unlock, check=False), 4, "is not locked")
    assert shipped.json(*DEMO, "evidence", "list")[-1]["kind"] == "unlock"


def test_an_earlier_version_of_the_state_is_restored(shipped: Instance) -> None:
    address, folder = state_address(shipped)
    client = connect(url(Path(folder)), "root", Path(folder))
    now = serial_of(client, address)
    restore = (*DEMO, "infra", "restore", "production")
    assert_told(shipped.run(*restore, "999", "--reason", "x", check=False), 4, "no version 999")
    assert shipped.json(*restore, "1", "--reason", "a wrong apply")["serial"] == now + 1
    assert serial_of(client, address) == now + 1
    assert shipped.json(*DEMO, "evidence", "list")[-1]["kind"] == "restore"
    shipped.run(*restore, str(now), "--reason", "and back")
