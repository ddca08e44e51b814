"""The root of every environment on the double: from nothing, from an older state, on a bad day, with bad tokens."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from factory.system import clock
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.local_cloudflare.misbehaving import Deed, misbehaving
from tests.local_cloudflare.root import PROVIDER, TERRAFORM, Root, apps

LIVE = TERRAFORM / "live"
ZONES = {path.parent.name: re.findall(r'"([a-z-]+\.test)"', path.read_text())[0] for path in LIVE.glob("*/zone.tf")}
ONE, TWO = "hello-aaaaaaaaaaaa", "hello-bbbbbbbbbbbb"
SSL = 'module.zone.cloudflare_zone_setting.this["ssl"]'
ZONE = "module.zone.cloudflare_zone.this"
TUNNEL = "module.stack.module.tunnel.cloudflare_zero_trust_tunnel_cloudflared"


@pytest.fixture
def root(tmp_path: Path, own: Double) -> Root:
    return Root(tmp_path, own)


def test_the_roots_are_equal_but_for_their_zone_and_sockets() -> None:
    texts = {
        stack: {
            path.name: path.read_text().replace(f'"{zone}"', "").replace(f'"/run/factory/{stack}"', "")
            for path in (LIVE / stack).glob("*.tf")
        }
        for stack, zone in ZONES.items()
    }
    for text in texts.values():
        text.pop("moved.tf")
    assert len(set(ZONES.values())) == len(ZONES)
    assert all(text == texts["production"] for text in texts.values())


@pytest.mark.long
def test_every_environment_stands_beside_the_others(tmp_path: Path, own: Double) -> None:
    for stack, zone in ZONES.items():
        own.release(ONE, environment=stack)
        root = Root(tmp_path / stack, own, stack=stack)
        variables = ("-var", f"apps={apps(ONE, f'www.{zone}')}")
        assert root.run("validate") == 0, root.said
        assert root.run("apply", "-auto-approve", *variables) == 0, root.said
        assert "Resources: 11 added" in root.said
        assert own.visit(f"www.{zone}").text == f"{ONE} /"
        assert root.run("plan", "-detailed-exitcode", *variables) == 0, root.said
    assert {each["name"] for each in own.result("GET", "/zones")} == set(ZONES.values())


@pytest.mark.long
def test_each_app_is_a_rule_a_record_and_a_limit(root: Root, own: Double) -> None:
    given = {
        "api": {"hostname": "api.hello.test", "release": "api-cccccccccccc", "requests_per_minute": 60},
        "hello": {"hostname": "www.hello.test", "release": ONE},
    }
    root.env["TF_VAR_apps"] = json.dumps(given)
    assert root.run("apply", "-auto-approve") == 0, root.said
    zone, tunnel = (own.result("GET", path)[0]["id"] for path in ("/zones", f"/accounts/{ACCOUNT}/cfd_tunnel"))
    rules = own.result("GET", f"/accounts/{ACCOUNT}/cfd_tunnel/{tunnel}/configurations")["config"]["ingress"]
    assert [(rule.get("hostname"), rule["service"]) for rule in rules] == [
        ("api.hello.test", "unix:/run/factory/production/api-cccccccccccc.release.sock"),
        ("api.hello.test", "unix:/run/factory/production/api-cccccccccccc.sock"),
        ("www.hello.test", f"unix:/run/factory/production/{ONE}.release.sock"),
        ("www.hello.test", f"unix:/run/factory/production/{ONE}.sock"),
        (None, "http_status:404"),
    ]
    records = own.result("GET", f"/zones/{zone}/dns_records")
    assert {(each["name"], each["proxied"]) for each in records} == {("api.hello.test", True), ("www.hello.test", True)}
    limits = own.result("GET", f"/zones/{zone}/rulesets/phases/http_ratelimit/entrypoint")["rules"]
    assert [(rule["ref"], rule["ratelimit"]["requests_per_period"]) for rule in limits] == [("api", 60), ("hello", 300)]
    root.env["TF_VAR_apps"] = json.dumps({"hello": given["hello"]})
    root.env["TF_VAR_rate_limited"] = "false"
    assert root.run("apply", "-auto-approve") == 0, root.said
    assert "1 changed, 2 destroyed" in root.said
    assert root.run("plan", "-detailed-exitcode") == 0, root.said


@pytest.mark.long
@pytest.mark.matrix(2)
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hostname": "www.other.test"}, "A hostname must be in the zone"),
        ({"hostname": "www.hello-staging.test"}, "A hostname must be in the zone"),
        ({"release": "hello-xyz"}, "12 to 40 hexadecimal"),
        ({"requests_per_minute": 0.5}, "requests must be a whole number"),
    ],
)
def test_an_app_that_asks_for_what_it_may_not_have_is_refused(root: Root, changed: dict[str, Any], said: str) -> None:
    root.env["TF_VAR_apps"] = json.dumps({"hello": {"hostname": "www.hello.test", "release": ONE} | changed})
    assert root.run("plan") == 1
    assert said in root.said


LOCALS = """
locals {
  all  = merge({ tunnel = null, shared = false, custom_rules = true, settings = {} }, local.zone)
  apps = { for name, app in var.apps : name => merge({ requests_per_minute = 300 }, app) }
}
"""
OLDER = """
resource "cloudflare_zone" "this" {{
  account = {{ id = "{account}" }}
  name    = "hello.test"
}}
resource "cloudflare_zero_trust_tunnel_cloudflared" "this" {{
  account_id = "{account}"
  name       = "hello"
  config_src = "cloudflare"
}}
resource "cloudflare_zero_trust_tunnel_cloudflared_config" "this" {{
  account_id = "{account}"
  tunnel_id  = cloudflare_zero_trust_tunnel_cloudflared.this.id
  config     = {{ ingress = [{{ service = "http_status:404" }}] }}
}}
resource "cloudflare_dns_record" "hostname" {{
  {each}
  zone_id = cloudflare_zone.this.id
  name    = "www.hello.test"
  type    = "CNAME"
  content = "${{cloudflare_zero_trust_tunnel_cloudflared.this.id}}.cfargotunnel.com"
  proxied = true
  ttl     = 1
}}
"""


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize("each", ["", 'for_each = { hello = "" }'], ids=["one app", "apps by name"])
def test_a_state_from_before_the_modules_keeps_its_objects(tmp_path: Path, own: Double, each: str) -> None:
    older = Root(tmp_path, own, OLDER.format(account=ACCOUNT, each=each))
    assert older.run("apply", "-auto-approve") == 0, older.said
    (tmp_path / "now").mkdir()
    root = Root(tmp_path / "now", own)
    (root.folder / "terraform.tfstate").write_text((older.folder / "terraform.tfstate").read_text())
    assert root.plan(ONE) == 2, root.said
    actions = root.shown()["actions"]
    assert not [address for address, done in actions.items() if "delete" in done]
    kept = {
        ZONE,
        f"{TUNNEL}.this",
        f"{TUNNEL}_config.this",
        'module.stack.module.dns.cloudflare_dns_record.this["hello"]',
    }
    assert {address for address, done in actions.items() if done != ["create"]} == kept
    assert root.run("apply", "plan") == 0, root.said
    assert root.plan(ONE) == 0, root.said


@pytest.mark.long
def test_a_state_of_an_earlier_release_only_moves(tmp_path: Path, own: Double) -> None:
    """The zone was in the module stack, and before that the root had the modules themselves."""
    own.release(ONE)
    root = Root(tmp_path, own)
    stack, now = TERRAFORM / "modules/stack", {path: path.read_text() for path in root.folder.glob("*.tf")}
    for path in now:
        if path.name == "main.tf":
            text = (stack / path.name).read_text().replace('source = "../', 'source = "../../modules/')
            text = text.replace("${var.sockets}", "/run/factory/production")
            path.write_text(text.replace("var.zone", "local.all").replace("var.apps", "local.apps") + LOCALS)
        elif path.name in {"moved.tf", "outputs.tf"}:
            path.unlink()
    assert root.run("init") == 0, root.said
    assert root.apply(ONE) == 0, root.said
    for path, text in now.items():
        path.write_text(text)
    state = root.folder / "terraform.tfstate"
    # As the stack module had it.
    state.write_text(state.read_text().replace('"module.zone"', '"module.stack.module.zone"'))
    assert root.run("init") == 0, root.said
    assert root.plan(ONE) == 2, root.said
    assert "Plan: 0 to add, 0 to change, 0 to destroy" in root.said
    assert root.run("apply", "plan") == 0, root.said
    assert root.plan(ONE) == 0, root.said
    assert all(address.startswith(("module.stack.module.", "module.zone.")) for address in root.addresses())


@pytest.mark.long
def test_a_bad_moment_is_passed_over(root: Root, own: Double) -> None:
    """A limit for every create, and for what can be repeated a failure and an answer that was lost."""

    def script(method: str, path: str, number: int) -> Deed:
        if number > 1 or path.endswith("/verify"):
            return "pass"
        if path.endswith("/configurations"):
            return "drop_after"
        return "429" if method == "POST" else "500"

    with misbehaving(own.api, script) as url:
        assert root.apply(ONE, CLOUDFLARE_BASE_URL=url) == 0, root.said
    assert root.plan(ONE) == 0, root.said
    assert len(own.result("GET", f"/accounts/{ACCOUNT}/cfd_tunnel")) == 1


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("429", "HTTP 429, tries: 4; the server asks to wait 1 s"),
        ("500", "HTTP 500, tries: 4"),
        ("reset", "connection refused or broken, tries: 4"),
        # It waits for the client's own limit, twice.
        ("hang", "timed out, tries: 2"),
    ],
)
def test_an_apply_that_could_not_end_is_finished_by_the_next(root: Root, own: Double, deed: Deed, said: str) -> None:
    def script(_method: str, path: str, _number: int) -> Deed:
        return deed if path.endswith("/settings/ssl") else "pass"

    with misbehaving(own.api, script) as url:
        assert root.apply(ONE, CLOUDFLARE_BASE_URL=url) == 1
    assert root.said.count("Error:") == 1
    assert "Cannot update cloudflare_zone_setting: PATCH /zones/" in root.said
    assert said in root.said
    assert "Plan again once the API answers" in root.said
    made = root.addresses()
    assert ZONE in made
    assert SSL not in made
    assert root.plan(ONE) == 2
    assert [each for each, done in root.shown()["actions"].items() if done != ["no-op"]] == [SSL]
    assert root.run("apply", "plan") == 0, root.said
    assert root.plan(ONE) == 0, root.said


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize("deed", ["500", "reset"])
def test_a_create_that_failed_is_made_by_the_next_apply(root: Root, own: Double, deed: Deed) -> None:
    def script(method: str, path: str, _number: int) -> Deed:
        return deed if (method, path) == ("POST", "/zones") else "pass"

    with misbehaving(own.api, script) as url:
        assert root.apply(ONE, CLOUDFLARE_BASE_URL=url) == 1
    assert "it is unknown whether the object was created, so the request is not repeated" in root.said
    assert ZONE not in root.addresses()
    assert own.result("GET", "/zones") == []
    assert root.apply(ONE) == 0, root.said
    assert root.plan(ONE) == 0, root.said


@pytest.mark.long
def test_a_create_whose_answer_was_lost_is_imported_and_not_made_twice(root: Root, own: Double) -> None:
    def script(method: str, path: str, _number: int) -> Deed:
        return "drop_after" if (method, path) == ("POST", "/zones") else "pass"

    with misbehaving(own.api, script) as url:
        assert root.apply(ONE, CLOUDFLARE_BASE_URL=url) == 1
    assert "Look for the object at Cloudflare. If it exists, import it with `terraform import`" in root.said
    assert root.apply(ONE) == 1
    assert "1061 hello.test already exists" in root.said
    (made,) = own.result("GET", "/zones")
    assert root.run("import", f"-var=apps={apps(ONE)}", ZONE, made["id"]) == 0, root.said
    assert root.apply(ONE) == 0, root.said
    assert root.plan(ONE) == 0, root.said
    assert [each["id"] for each in own.result("GET", "/zones")] == [made["id"]]


TOKENS = """
module "tokens" {{
  source = "../../modules/api_token"

  account_id = "{account}"
  zone_id    = "{zone}"
  name       = "hello"
  expires_on = "{until}"
}}
output "values" {{
  value     = module.tokens.values
  sensitive = true
}}
"""


class Tokens:
    """The module of tokens as a root beside the others, applied by a person who may make tokens."""

    def __init__(self, beside: Root, zone: str) -> None:
        self.root, self.zone = beside, zone
        self.folder = beside.folder.parent / "tokens"
        self.folder.mkdir()

    def made(self, seconds: float) -> dict[str, str]:
        """Apply with an expiry in that many seconds; return the values by role."""
        until = (clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = PROVIDER + TOKENS.format(account=ACCOUNT, zone=self.zone, until=until)
        (self.folder / "main.tf").write_text(text)
        self._run("init")
        self._run("apply", "-auto-approve")
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        found: dict[str, str] = state["outputs"]["values"]["value"]
        return found

    def _run(self, *command: str) -> None:
        folder, self.root.folder = self.root.folder, self.folder
        try:
            assert self.root.run(*command) == 0, self.root.said
            assert "local-" not in self.root.said
        finally:
            self.root.folder = folder


@pytest.mark.long
def test_tokens_made_by_terraform_do_what_they_are_for_until_they_end(root: Root, own: Double) -> None:
    assert root.apply(ONE) == 0, root.said
    zone = own.result("GET", "/zones")[0]["id"]
    tokens = Tokens(root, zone)
    made = tokens.made(3600)
    assert root.plan(TWO, CLOUDFLARE_API_TOKEN=made["plan"]) == 2, root.said
    assert root.run("apply", "plan", CLOUDFLARE_API_TOKEN=made["plan"]) == 1
    assert root.said.count("Error:") == 1
    assert "HTTP 403: 10000 Authentication error" in root.said
    assert "a plan needs a read token, an apply a write token" in root.said
    assert root.plan(TWO, CLOUDFLARE_API_TOKEN=made["apply"]) == 2, root.said
    assert root.run("apply", "plan", CLOUDFLARE_API_TOKEN=made["apply"]) == 0, root.said
    assert root.plan(TWO, CLOUDFLARE_API_TOKEN=made["plan"]) == 0, root.said

    soon = clock.monotonic() + 15
    renewed = tokens.made(15)
    assert set(renewed.values()).isdisjoint(made.values())
    clock.sleep(max(0.0, soon - clock.monotonic()))
    for value, state in ((made["plan"], "unknown or revoked"), (renewed["plan"], "expired")):
        assert root.plan(TWO, CLOUDFLARE_API_TOKEN=value) == 1
        assert f"CLOUDFLARE_API_TOKEN is {state}: the API rejects it" in root.said
        assert root.said.count("Error:") == 1
        assert value not in root.said
