"""The embedded instance runs releases as every host does: by the evidence, and nothing before a merge is recorded."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.cli.test_own_change import HELLO, proposed
from tests.instances import Instance, founded
from tests.servers import wait_for

pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]
HOSTS = ("www.hello-staging.test", "www.hello.test")


# Fails if it runs a second time.
MIGRATE = 'import os; assert os.environ["GREETING"]; os.mkdir(os.environ["STATE_DIRECTORY"] + "/migrated")'


def with_state(clone: Path) -> None:
    with (clone / "apps/hello/app.yml").open("a") as file:
        file.write(f"state: true\nsecrets: [GREETING]\nmigrate: [python, -c, {json.dumps(MIGRATE)}]\n")


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Instance]:
    made = founded(tmp_path, change=with_state)
    yield made
    made.run("down", check=False)


def visit(made: Instance, hostname: str, path: str = "/version") -> requests.Response:
    port = json.loads((made.folder() / "instance.json").read_text())["ports"]["edge"]
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://127.0.0.1:{port}{path}", headers={"Host": hostname}, timeout=30)


def shown(made: Instance, environment: str) -> list[tuple[str, str, bool]]:
    found = json.loads(made.run("host", "status", environment, "--json").stdout)
    assert found["runs"]
    return [(item["release"], item["role"], item["ready"]) for item in found["releases"]]


@pytest.mark.slow
def test_what_the_evidence_names_runs_and_runs_again(mine: Instance) -> None:
    log = mine.run("pipeline", "logs", "1").stdout
    assert "the first deployment is infrastructure alone: it carries no app" in log
    assert [visit(mine, hostname).status_code for hostname in HOSTS] == [530, 530]
    assert not list((mine.folder() / "hosts").glob("*/releases/*.json"))

    text = (mine.clone / HELLO).read_text().replace("without dependencies", "on Python alone")
    project = proposed(mine, HELLO, text)
    mine.run("work", "--once")
    mine.run("mr", "approve", "1")
    for environment in ("staging", "production"):
        mine.run("host", "secret", environment, "hello", "GREETING", stdin="hello")
    said = mine.run("work", "--once").stderr
    name = f"hello-{project.mergerequests.get(1).sha}"
    assert visit(mine, HOSTS[0]).json() == {"release": name}
    assert visit(mine, HOSTS[1]).status_code == 530, said
    assert shown(mine, "staging")[0][0] == name
    assert shown(mine, "production") == [], "nobody has approved it"

    [waiting] = [item for item in mine.json("deploy", "list") if item["status"] == "blocked"]
    mine.run("deploy", "approve", str(waiting["id"]))
    mine.run("work", "--once")
    assert visit(mine, HOSTS[1]).json() == {"release": name}
    wait_for(lambda: (name, "deployed", True) in shown(mine, "production"))
    assert visit(mine, HOSTS[1], "/.well-known/factory-release").json() == {"release": name}

    folder, backup = mine.folder() / "hosts/production/releases", mine.clone.parent / "hello.tar.gz"
    assert (folder / "state/hello/migrated").is_dir()
    assert f"{name} answers with it" in mine.run("host", "backup", "production", "hello", str(backup)).stdout
    (folder / "state/hello/migrated").rmdir()
    mine.run("host", "restore", "production", "hello", str(backup))
    assert (folder / "state/hello/migrated").is_dir()
    wait_for(lambda: visit(mine, HOSTS[1]).status_code == 200)
    subprocess.run(["pkill", "-KILL", "-f", f"^{folder}/unpacked/{name}/"], check=True)
    wait_for(lambda: visit(mine, HOSTS[1]).status_code == 200)
    assert '"GET /version' in mine.run("host", "logs", "production", "hello").stdout
    mine.run("down")
    mine.run("up")
    wait_for(lambda: [visit(mine, hostname).status_code for hostname in HOSTS] == [200, 200])
    assert visit(mine, HOSTS[0]).json() == {"release": name}


def test_an_instance_of_an_earlier_version_gets_its_hosts(mine: Instance) -> None:
    mine.run("down")
    (mine.folder() / "tokens/factory-host").unlink()
    shutil.rmtree(mine.folder() / "hosts")
    trust = json.loads((mine.folder() / "trust.json").read_text())
    del trust["hosts"]
    (mine.folder() / "trust.json").write_text(json.dumps(trust))
    mine.run("up")
    assert list(json.loads((mine.folder() / "trust.json").read_text())["hosts"]) == ["embedded"]
    wait_for(lambda: mine.run("host", "status", "production", check=False).returncode == 0)
