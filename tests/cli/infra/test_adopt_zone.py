"""``factory infra adopt-zone``: what it finds, writes and refuses, with the real command on the loopback Cloudflare."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory.operations.repository import starter
from tests.cli.infra import foreign_zone
from tests.cli.infra.foreign_zone import CUSTOM, RATE, ZONE
from tests.cli.test_refusals import assert_told
from tests.instances import Instance, make_instance
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import git

ADOPT = ("infra", "adopt-zone", ZONE)


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    server = Double(tmp_path / "cloudflare")
    yield server
    server.close()


@pytest.fixture
def mine(tmp_path: Path) -> Instance:
    """Return a control repository whose app has hostnames in the zone."""
    made = make_instance(tmp_path)
    app = made.clone / "apps/hello/app.yml"
    text = (
        app.read_text()
        .replace("www.hello-staging.test", f"www-staging.{ZONE}")
        .replace("www.hello.test", f"www.{ZONE}")
    )
    app.write_text(text)
    git("commit", "-qam", "our domain", cwd=made.clone)
    for key, value in (("user.name", "Jane"), ("user.email", "jane@example.com")):
        git("config", key, value, cwd=made.clone)
    return made


def env(double: Double, token: str = "local-reader") -> dict[str, Any]:
    return {"CLOUDFLARE_API_TOKEN": token, "CLOUDFLARE_BASE_URL": double.api}


def head(clone: Path) -> tuple[str, str]:
    return git("branch", "--show-current", cwd=clone).stdout, git("rev-parse", "HEAD", cwd=clone).stdout


def test_a_zone_is_shown_and_adopted_on_a_branch(mine: Instance, double: Double) -> None:
    zone = foreign_zone.make(double)
    www = next(each for each in double.result("GET", f"/zones/{zone}/dns_records") if each["name"] == f"www.{ZONE}")
    before, dump = head(mine.clone), foreign_zone.dump(double, zone)
    done = mine.json(*ADOPT, **env(double))
    assert (done["zone"], done["account"], done["plan"]) == (zone, ACCOUNT, "pro")
    assert (sum(done["records"].values()), done["records"]["SRV"], done["rules"]) == (40, 2, {CUSTOM: 1})
    staging, production = sorted(done["roots"], key=lambda root: root["environment"] == "production")
    assert (staging["tunnel"], production["tunnel"]) == (f"{ZONE}-staging", f"{ZONE}-production")
    assert staging["imports"] == []
    assert set(staging["left_out"]) == {CUSTOM, RATE}
    address = 'module.stack.module.dns.cloudflare_dns_record.this["hello"]'
    assert [(each["address"], each["id"]) for each in production["imports"]] == [(address, f"{zone}/{www['id']}")]
    assert set(production["left_out"]) == {CUSTOM}
    assert done["changes"] == [
        "terraform/live/production/zone.tf",
        "terraform/live/production/imports.tf",
        "terraform/live/staging/zone.tf",
    ]
    assert git("status", "--porcelain", cwd=mine.clone).stdout == ""
    assert git("diff", "--name-only", "main", cwd=mine.clone).stdout.split() == sorted(done["changes"])
    texts = {name: (mine.clone / name).read_text() for name in done["changes"]}
    assert "custom_rules = false # the zone has 1 rule of others there" in texts["terraform/live/production/zone.tf"]
    assert "rate_limited = true\n" in texts["terraform/live/production/zone.tf"]
    assert foreign_zone.dump(double, zone) == dump
    again = mine.run(*ADOPT, **env(double))
    assert "production: has this zone already" in again.stdout
    assert "nothing to change" in again.stdout
    git("switch", "-q", "main", cwd=mine.clone)
    assert_told(mine.run(*ADOPT, check=False, **env(double)), 7, f"the branch adopt-{ZONE} exists already")
    git("branch", "-qD", f"adopt-{ZONE}", cwd=mine.clone)
    assert head(mine.clone) == before


def test_one_environment_has_the_zone_and_its_rules(mine: Instance, double: Double) -> None:
    zone = foreign_zone.make(double, phases=())
    path = f"/zones/{zone}/rulesets"
    made = double.result("POST", path, json={"name": "default", "kind": "zone", "phase": CUSTOM, "rules": []})
    shown = mine.run(*ADOPT, "--environment", "staging", "--rules", "staging", **env(double)).stdout
    assert "staging: a tunnel acme.com-staging" in shown
    assert "takes over the empty ruleset of http_request_firewall_custom" in shown
    assert f'["zones/{zone}/{made["id"]}"]' in (mine.clone / "terraform/live/staging/imports.tf").read_text()
    assert "undo: git switch main && git branch -D adopt-acme.com" in shown
    assert "adopt-zone" not in (mine.clone / "terraform/live/staging/zone.tf").read_text()
    assert "production" not in git("diff", "--name-only", "main", cwd=mine.clone).stdout


def test_a_plan_that_has_no_limit_by_hostname_leaves_limits_out(mine: Instance, double: Double) -> None:
    foreign_zone.make(double, plan="free", phases=())
    (root,) = mine.json(*ADOPT, "--environment", "production", **env(double))["roots"]
    assert list(root["left_out"]) == [RATE]
    assert "plan free cannot do it: the rule hello matches http.host" in root["left_out"][RATE]


def test_a_company_without_terraform_gets_it_with_the_zone(tmp_path: Path, double: Double) -> None:
    zone = foreign_zone.make(double)
    files = starter.company("acme") | {"apps/blog/src/__main__.py": b"", "apps/blog/requirements.txt": b""}
    mine = Instance(tmp_path / "acme", tmp_path / "state")
    for name, data in files.items():
        (mine.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (mine.clone / name).write_bytes(data)
    git("init", "-q", "-b", "main", cwd=mine.clone)
    git("add", "-A", cwd=mine.clone)
    git("commit", "-qm", "start", cwd=mine.clone)
    for key, value in (("user.name", "Jane"), ("user.email", "jane@example.com")):
        git("config", key, value, cwd=mine.clone)
    refused(mine, 3, "terraform/live has no staging", more=("--environment", "staging"), **env(double))
    refused(mine, 4, "Cloudflare has no zone other.com", name="other.com", **env(double))
    done = mine.json(*ADOPT, **env(double))
    assert len(git("ls-files", cwd=mine.clone).stdout.splitlines()) <= 60 + 2
    for name in ("staging", "production"):
        text = (mine.clone / f"terraform/live/{name}/zone.tf").read_text()
        assert f'zone_id = "{zone}"' in text
        assert f"terraform/live/{name}/zone.tf" in done["changes"]
    hostnames = (mine.clone / "apps/blog/app.yml").read_text()
    assert "hostname: blog-staging.acme.com" in hostnames
    assert "hostname: blog.acme.com" in hostnames
    assert "apply-production:" in (mine.clone / ".gitlab/factory/pipeline.yml").read_text()
    mine.run("policy", "check")


def refused(mine: Instance, code: int, *words: str, name: str = ZONE, more: tuple[str, ...] = (), **given: str) -> None:
    before = head(mine.clone)
    assert_told(mine.run("infra", "adopt-zone", name, *more, check=False, **given), code, *words)
    assert head(mine.clone) == before
    assert git("branch", "--list", "adopt*", cwd=mine.clone).stdout == ""


@pytest.mark.long
def test_what_cannot_be_adopted_changes_nothing(mine: Instance, double: Double) -> None:
    given = env(double)
    refused(mine, 4, "Cloudflare has no zone acme.com that this token may read", **given)
    refused(mine, 3, "is not a domain", name="acme", **given)
    zone = foreign_zone.make(double)
    refused(mine, 9, "HTTP 403: 10000 Authentication error", "Zone WAF", **env(double, "local-nobody"))
    refused(mine, 9, "CLOUDFLARE_API_TOKEN is not set")
    refused(mine, 3, "is not an https address", **(given | {"CLOUDFLARE_BASE_URL": "http://api.example.com"}))
    double.result("POST", "/zones", json={"name": "hello.test", "account": {"id": ACCOUNT}})
    refused(mine, 5, "terraform/live/production creates the zone hello.test itself", name="hello.test", **given)
    double.result("POST", "/zones", json={"name": "other.com", "account": {"id": ACCOUNT}})
    refused(mine, 3, f"the hostname www.{ZONE} in production is not below other.com", name="other.com", **given)
    more = {"type": "A", "name": "www", "content": "192.0.2.77"}
    double.result("POST", f"/zones/{zone}/dns_records", json=more)
    refused(mine, 7, "www.acme.com has 2 records", "192.0.2.77", **given)


def test_a_token_of_another_zone_finds_nothing(mine: Instance, double: Double) -> None:
    zone = foreign_zone.make(double)
    mail = double.result("POST", "/zones", json={"name": "mail.example", "account": {"id": ACCOUNT}})["id"]
    refused(mine, 4, "no zone acme.com that this token may read", **env(double, _token(double, mail)))
    refused(mine, 9, "/dns_records: HTTP 403", **env(double, _token(double, zone, "Zone Read")))


def test_a_dirty_checkout_keeps_what_is_in_it(mine: Instance, double: Double) -> None:
    foreign_zone.make(double)
    path = mine.clone / "terraform/live/staging/zone.tf"
    path.write_text(path.read_text() + "# mine\n")
    refused(mine, 5, "git switch failed", **env(double))
    assert path.read_text().endswith("# mine\n")
    git("commit", "-qam", "by hand", cwd=mine.clone)
    path.write_text(path.read_text().replace('module "zone"', 'module "own"'))
    git("commit", "-qam", "by hand", cwd=mine.clone)
    refused(mine, 7, "terraform/live/staging/zone.tf was changed by hand", **env(double))


def _token(double: Double, zone: str, *groups: str) -> str:
    found = double.result("GET", f"/accounts/{ACCOUNT}/tokens/permission_groups?per_page=50")
    ids = {each["name"]: each["id"] for each in found}
    policy: dict[str, Any] = {
        "effect": "allow",
        "permission_groups": [{"id": ids[name]} for name in groups or ("Zone Read",)],
        "resources": {f"com.cloudflare.api.account.zone.{zone}": "*"},
    }
    body = json.dumps({"name": "t", "policies": [policy]})
    value: str = double.result("POST", f"/accounts/{ACCOUNT}/tokens", data=body)["value"]
    return value
