"""The real terraform, the repository's own root and the double: what a deploy, a drift and a refusal look like."""

from pathlib import Path

import pytest

from tests.local_cloudflare.double import ACCOUNT, Double
from tests.local_cloudflare.root import Root

pytestmark = pytest.mark.long

ONE, TWO = "hello-aaaaaaaaaaaa", "hello-bbbbbbbbbbbb"
ADDRESS = "module.stack.module.tunnel.cloudflare_zero_trust_tunnel_cloudflared_config.this"
CONFIG = "cloudflare_zero_trust_tunnel_cloudflared_config"
TUNNEL = "cloudflare_zero_trust_tunnel_cloudflared"
FOREIGN = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8-_s9"
RECORD = "cloudflare_dns_record"


@pytest.fixture
def root(tmp_path: Path, own: Double) -> Root:
    return Root(tmp_path, own)


@pytest.fixture
def applied(root: Root) -> Root:
    assert root.apply(ONE) == 0, root.said
    return root


def test_an_apply_moves_traffic_and_leaves_nothing_to_plan(root: Root, own: Double) -> None:
    for name in (ONE, TWO):
        own.release(name)
    assert root.plan(ONE, CLOUDFLARE_API_TOKEN="local-reader") == 2, root.said
    assert own.visit("www.hello.test").status == 530, "a plan changes nothing"
    assert root.run("apply", "plan") == 0, root.said
    assert own.visit("www.hello.test").text == f"{ONE} /"
    assert root.plan(ONE, CLOUDFLARE_API_TOKEN="local-reader") == 0, root.said

    assert root.plan(TWO) == 2
    assert [address for address, actions in root.shown()["actions"].items() if actions != ["no-op"]] == [ADDRESS]
    assert own.visit("www.hello.test").text == f"{ONE} /"
    assert root.run("apply", "plan") == 0, root.said
    assert own.visit("www.hello.test").text == f"{TWO} /"
    assert root.state()[CONFIG]["version"] == 2
    assert root.plan(TWO) == 0, root.said


def test_the_root_is_valid_and_strict_about_releases(root: Root) -> None:
    assert root.run("validate", CLOUDFLARE_BASE_URL="", CLOUDFLARE_API_TOKEN="") == 0, root.said
    assert root.plan("hello-XYZ") == 1
    assert "12 to 40 hexadecimal" in root.said


def test_a_change_behind_terraforms_back_is_drift(applied: Root, own: Double) -> None:
    state = applied.state()
    record = f"/zones/{state[RECORD]['zone_id']}/dns_records/{state[RECORD]['id']}"
    own.result("PATCH", record, json={"content": "elsewhere.test", "comment": "by hand"})
    own.configure(state[TUNNEL]["id"], "www.hello.test", "http://hello-fffffff")
    own.result("PATCH", f"/zones/{state[RECORD]['zone_id']}", json={"paused": True})
    assert applied.plan(ONE) == 2
    shown = applied.shown()
    assert {address for address, actions in shown["actions"].items() if actions == ["update"]} == {
        'module.stack.module.dns.cloudflare_dns_record.this["hello"]',
        "module.zone.cloudflare_zone.this",  # the root says nothing of paused: its default is false
        ADDRESS,
    }
    assert shown["drift"][RECORD]["after"]["content"] == "elsewhere.test"
    assert shown["drift"][CONFIG]["after"]["config"]["ingress"][0]["service"] == "http://hello-fffffff"
    assert applied.run("apply", "plan") == 0, applied.said
    now = own.result("GET", record)
    assert (now["content"], now["comment"]) == (state[RECORD]["content"], None)
    assert applied.plan(ONE) == 0, applied.said


def test_what_was_deleted_is_created_again(applied: Root, own: Double) -> None:
    state = applied.state()
    own.result("DELETE", f"/zones/{state[RECORD]['zone_id']}/dns_records/{state[RECORD]['id']}")
    own.result("DELETE", f"/accounts/{ACCOUNT}/cfd_tunnel/{state[TUNNEL]['id']}")
    assert applied.plan(ONE) == 2
    assert "Plan: 3 to add, 0 to change, 0 to destroy" in applied.said
    assert applied.run("apply", "plan") == 0, applied.said
    assert applied.plan(ONE) == 0, applied.said


def test_a_refusal_is_readable_and_changes_nothing(applied: Root, own: Double) -> None:
    before = applied.state()
    assert applied.apply(TWO, CLOUDFLARE_API_TOKEN="local-reader") == 1
    assert f"Cannot update {CONFIG}: PUT" in applied.said
    assert "HTTP 403: 10000 Authentication error" in applied.said
    assert "an apply a write token" in applied.said
    assert applied.state() == before
    for env, said in (
        ({"CLOUDFLARE_BASE_URL": "https://api.cloudflare.com/client/v4"}, "this provider is a loopback double"),
        ({"CLOUDFLARE_API_TOKEN": FOREIGN}, "looks like a real Cloudflare API token"),
        ({"CLOUDFLARE_BASE_URL": "http://127.0.0.1:1/client/v4"}, "no answer from http://127.0.0.1:1"),
    ):
        assert applied.plan(TWO, **env) == 1
        assert said in applied.said
        assert FOREIGN not in applied.said
    own.close()
    assert FOREIGN not in own.log()


def test_a_provider_block_may_name_the_api(tmp_path: Path, own: Double) -> None:
    block = 'provider "cloudflare" {{\n  base_url  = "{url}"\n  api_token = "local-writer"\n}}\n'
    zone = f'resource "cloudflare_zone" "z" {{\n  account = {{ id = "{ACCOUNT}" }}\n  name = "hello.test"\n}}\n'
    root = Root(tmp_path, own, block.format(url=own.api) + zone)
    empty = {"CLOUDFLARE_BASE_URL": "", "CLOUDFLARE_API_TOKEN": ""}
    assert root.run("apply", "-auto-approve", **empty) == 0, root.said
    (root.folder / "main.tf").write_text((root.folder / "main.tf").read_text().replace("127.0.0.1", "192.0.2.1"))
    assert root.run("validate") == 1
    assert "this provider is a loopback double" in root.said


def test_any_home_and_a_long_tmpdir_will_do(root: Root, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    assert root.plan(ONE, HOME="/proc/nowhere", TMPDIR=str(deep)) == 2, root.said
    assert list(deep.iterdir()) == []


def test_an_import_is_followed_by_an_empty_plan(root: Root, own: Double) -> None:
    ids = own.serve_host("hello.test", f"http://{ONE}")
    tunnel = f"{ACCOUNT}/{ids['tunnel']}"
    imports = {
        "module.zone.cloudflare_zone.this": ids["zone"],
        'module.zone.cloudflare_zone_setting.this["ssl"]': f"{ids['zone']}/ssl",
        f'module.stack.module.dns.{RECORD}.this["hello"]': f"{ids['zone']}/{ids['record']}",
        f"module.stack.module.tunnel.{TUNNEL}.this": tunnel,
        ADDRESS: tunnel,
    }
    blocks = [f'import {{\n  to = {address}\n  id = "{key}"\n}}\n' for address, key in imports.items()]
    (root.folder / "imports.tf").write_text("".join(blocks))
    assert root.apply(ONE) == 0, root.said
    assert "Resources: 5 imported, 6 added, 2 changed, 0 destroyed" in root.said
    assert root.plan(ONE) == 0, root.said


FULL = """
variable "name" {{ default = "www" }}
variable "managed" {{ default = "local" }}
resource "cloudflare_zone" "z" {{
  account = {{ id = "{account}" }}
  name    = "full.test"
  paused  = true
}}
resource "cloudflare_dns_record" "relative" {{
  zone_id = cloudflare_zone.z.id
  name    = var.name
  type    = "A"
  content = "192.0.2.1"
  ttl     = 300
  comment = "a comment"
  tags    = ["owner:factory"]
}}
resource "cloudflare_dns_record" "mx" {{
  zone_id  = cloudflare_zone.z.id
  name     = "@"
  type     = "MX"
  content  = "mail.full.test"
  priority = 10
  ttl      = 1
}}
resource "cloudflare_zero_trust_tunnel_cloudflared" "t" {{
  account_id    = "{account}"
  name          = "full"
  config_src    = var.managed
  tunnel_secret = "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg="
}}
resource "cloudflare_zero_trust_tunnel_cloudflared_config" "c" {{
  account_id = "{account}"
  tunnel_id  = cloudflare_zero_trust_tunnel_cloudflared.t.id
  config = {{
    origin_request = {{ connect_timeout = 10 }}
    ingress = [
      {{
        hostname       = "${{cloudflare_dns_record.relative.id}}.full.test"
        path           = "^/api"
        service        = "https://192.0.2.1:8443"
        origin_request = {{ no_tls_verify = true, http_host_header = "api.full.test" }}
      }},
      {{ service = "http_status:404" }},
    ]
  }}
}}
"""


def test_every_attribute_keeps_what_was_written(tmp_path: Path, own: Double) -> None:
    """A zone's ``paused``, relative names, nested requests, values known only after apply, replacement, destroy."""
    root = Root(tmp_path, own, FULL.format(account=ACCOUNT))
    assert root.run("apply", "-auto-approve") == 0, root.said
    config = own.result("GET", f"/accounts/{ACCOUNT}/cfd_tunnel/{root.state()[TUNNEL]['id']}/configurations")
    rule = config["config"]["ingress"][0]
    assert rule["originRequest"] == {"noTLSVerify": True, "httpHostHeader": "api.full.test"}
    assert config["config"]["originRequest"] == {"connectTimeout": 10}
    assert own.result("GET", "/zones")[0]["paused"] is True
    before = root.state()[TUNNEL]["id"]
    assert root.run("plan", "-detailed-exitcode") == 0, root.said
    assert root.run("apply", "-auto-approve", "-var=managed=cloudflare", "-var=name=api") == 0, root.said
    assert root.run("plan", "-detailed-exitcode", "-var=managed=cloudflare", "-var=name=api") == 0, root.said
    assert root.state()[TUNNEL]["id"] != before, "config_src is decided once, at creation"
    assert root.run("destroy", "-auto-approve") == 0, root.said
    assert "stays until the tunnel is deleted" in root.said
    assert own.result("GET", "/zones") == []
    assert all(each["deleted_at"] for each in own.result("GET", f"/accounts/{ACCOUNT}/cfd_tunnel"))


def test_validate_finds_a_wrong_attribute(tmp_path: Path, shared: Double) -> None:
    root = Root(tmp_path, shared, "")
    for attributes, said in (
        ('type = "A"\ncontent = "192.0.2.1"\nttl = 300\nproxied = true', "A proxied record must have the ttl 1"),
        ('type = "NOPE"\ncontent = "x"\nttl = 1', "'NOPE' is not one of A, AAAA"),
        ('type = "A"\ncontent = "192.0.2.1"', 'The argument "ttl" is required'),
        ('type = "A"\nttl = 1\nvalue = "192.0.2.1"', 'An argument named "value" is not expected here'),
    ):
        text = f'resource "cloudflare_dns_record" "r" {{\nzone_id = "z"\nname = "www.hello.test"\n{attributes}\n}}\n'
        (root.folder / "record.tf").write_text(text)
        assert root.run("validate") == 1
        assert said in root.said


def test_an_api_refusal_is_readable(tmp_path: Path, shared: Double) -> None:
    text = f'resource "cloudflare_zone" "z" {{\n  account = {{ id = "{ACCOUNT}" }}\n  name = "not a name"\n}}\n'
    root = Root(tmp_path, shared, text)
    assert root.run("import", "cloudflare_zone.z", "one/two") == 1
    assert "the import id 'one/two' does not have the form <id>" in root.said
    assert root.run("apply", "-auto-approve") == 1
    assert "Cannot create cloudflare_zone: POST /zones: HTTP 400: 1049 not a name is not a registered" in root.said
