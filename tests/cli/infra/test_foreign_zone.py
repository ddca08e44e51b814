"""A zone with other things in it is adopted, deployed, rolled back and checked for drift, and keeps all of them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.infra import foreign_zone
from tests.cli.infra.foreign_zone import CUSTOM, ZONE
from tests.cli.infra.test_drift import play
from tests.cli.test_own_change import HELLO, PATH, proposed
from tests.cli.test_refusals import connect, url
from tests.instances import Instance, make_instance
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import git

OURS = (f"www.{ZONE}", f"www-staging.{ZONE}")
pytestmark = [pytest.mark.long, pytest.mark.matrix(4, group="flows")]


class Reading:
    """The instance's loopback Cloudflare, as the functions of ``foreign_zone`` read it."""

    def __init__(self, folder: Path) -> None:
        port = json.loads((folder / "instance.json").read_text())["ports"]["cloudflare"]
        self._token = json.loads((folder / "tokens/cloudflare.json").read_text())["apply"]
        self._api = f"http://127.0.0.1:{port}/client/v4"

    def result(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, self._api + path, headers=headers, timeout=30, **arguments)
        assert answer.ok, answer.text
        return answer.json()["result"]


@pytest.fixture
def adopted(tmp_path: Path) -> Iterator[tuple[Instance, str, str]]:
    """Return an instance whose roots adopted the zone before its first deployment; the zone's id and what it had."""
    made = make_instance(tmp_path)
    for key, value in (("user.name", "Jane"), ("user.email", "jane@example.com")):
        git("config", key, value, cwd=made.clone)
    app = made.clone / "apps/hello/app.yml"
    text = app.read_text()
    for zone, host in (("hello-staging.test", OURS[1]), ("hello.test", OURS[0])):
        text = text.replace(f"www.{zone}", host)
    app.write_text(text)
    git("commit", "-qam", "our domain", cwd=made.clone)
    double = Double(tmp_path / "cloudflare")
    zone = foreign_zone.make(double)
    before = foreign_zone.dump(double, zone, without=OURS)
    made.run("infra", "adopt-zone", ZONE, CLOUDFLARE_API_TOKEN="local-reader", CLOUDFLARE_BASE_URL=double.api)
    git("switch", "-q", "main", cwd=made.clone)
    git("merge", "-q", "--ff-only", f"adopt-{ZONE}", cwd=made.clone)
    double.close()
    folder = Path(made.json("config")[-1]["value"])
    shutil.copytree(tmp_path / "cloudflare", folder / "cloudflare")
    yield made, zone, before
    made.run("down", check=False)


def test_everything_foreign_stays_as_it_is(adopted: tuple[Instance, str, str]) -> None:
    made, zone, before = adopted
    up = made.run("up", check=False)
    assert up.returncode == 0, up.stderr + made.run("pipeline", "logs", "1").stdout
    cloudflare: Any = Reading(made.folder())
    assert foreign_zone.dump(cloudflare, zone, without=OURS) == before
    ship(made, 1, "without dependencies", "on Python alone")
    assert foreign_zone.dump(cloudflare, zone, without=OURS) == before
    ours = [
        each for each in cloudflare.result("GET", f"/zones/{zone}/dns_records?per_page=500") if each["name"] in OURS
    ]
    tunnels = {each["id"]: each["name"] for each in cloudflare.result("GET", f"/accounts/{ACCOUNT}/cfd_tunnel")}
    assert {(each["name"], tunnels[each["content"].partition(".")[0]]) for each in ours} == {
        (OURS[0], f"{ZONE}-production"),
        (OURS[1], f"{ZONE}-staging"),
    }
    phases = {each["phase"]: each["name"] for each in cloudflare.result("GET", f"/zones/{zone}/rulesets")}
    assert phases == {CUSTOM: "default", "http_ratelimit": "rate limits"}

    ship(made, 2, "on Python alone", "on the standard library")
    made.run("evidence", "verify", "2")
    assert foreign_zone.dump(cloudflare, zone, without=OURS) == before

    # Without a token of the person's, the command reads the instance's own Cloudflare.
    assert "nothing to change" in made.run("infra", "adopt-zone", ZONE).stdout

    made.run("infra", "rollback", "--reason", "the greeting is wrong")
    made.run("work", "--once")
    deploy(made)
    assert foreign_zone.dump(cloudflare, zone, without=OURS) == before

    mail = next(each for each in cloudflare.result("GET", f"/zones/{zone}/dns_records") if each["type"] == "MX")
    www = next(each for each in ours if each["name"] == OURS[0])
    for record in (mail, www):
        path = f"/zones/{zone}/dns_records/{record['id']}"
        cloudflare.result("PATCH", path, json={"comment": "changed by others"})
    changed = foreign_zone.dump(cloudflare, zone, without=OURS)
    trace = play(made)["drift"].trace()
    assert b'production: update module.stack.module.dns.cloudflare_dns_record.this["hello"] comment' in trace
    assert b"production: 1 resources differ" in trace
    assert b"staging: nothing differs" in trace
    assert foreign_zone.dump(cloudflare, zone, without=OURS) == changed


def ship(made: Instance, number: int, before: str, after: str) -> None:
    """Change a line of the app by hand, and deploy that."""
    project = connect(url(made.folder()), "operator", made.folder()).projects.get(PATH)
    text = project.files.get(HELLO, ref="main").decode().decode()
    assert before in text
    proposed(made, HELLO, text.replace(before, after), branch=f"mine-{number}")
    made.run("work", "--once")
    made.run("mr", "approve", str(number))
    made.run("work", "--once")
    deploy(made)


def deploy(made: Instance) -> None:
    [waiting] = [item for item in made.json("deploy", "list") if item["status"] == "blocked"]
    made.run("deploy", "approve", str(waiting["id"]))
    made.run("work", "--once")
    assert made.json("evidence", "list")[-1]["kind"] == "deploy"
