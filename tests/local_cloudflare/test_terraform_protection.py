"""Settings, rulesets and account tokens through Terraform: rules that move, values of any type, import, drift."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloudflare.double import ACCOUNT, Double
from tests.local_cloudflare.root import PROVIDER, Root
from tests.local_cloudflare.test_api import fresh, zone
from tests.local_cloudflare.test_protection import IDS, TOKENS, policy, ruleset, token

PLAN = ("plan", "-detailed-exitcode")
APPLY = ("apply", "-auto-approve")
ZONE = """
resource "cloudflare_zone" "z" {{
  account = {{ id = "{account}" }}
  name    = "{name}"
}}
"""
RULESET = """
variable "rules" {
  type = list(object({ ref = optional(string), path = string, enabled = optional(bool) }))
}
resource "cloudflare_ruleset" "r" {
  zone_id = cloudflare_zone.z.id
  kind    = "zone"
  phase   = "http_request_firewall_custom"
  name    = "custom"
  rules = [for rule in var.rules : {
    ref        = rule.ref
    enabled    = rule.enabled
    expression = "http.request.uri.path eq \\"${rule.path}\\""
    action     = "block"
    action_parameters = {
      response = { content = "no", content_type = "text/plain", status_code = 403 }
    }
  }]
}
"""


def of_a_zone(folder: Path, double: Double, text: str) -> Root:
    return Root(folder, double, ZONE.format(account=ACCOUNT, name=fresh()) + text)


def rules(root: Root) -> dict[str, dict[str, Any]]:
    """Return the rules in the state, by ref."""
    return {rule["ref"]: rule for rule in root.state()["cloudflare_ruleset"]["rules"]}


@pytest.mark.long
def test_a_rule_stays_itself_where_others_come_and_go(tmp_path: Path, shared: Double) -> None:
    root = of_a_zone(tmp_path, shared, RULESET)

    def apply(given: str) -> dict[str, dict[str, Any]]:
        assert root.run(*APPLY, f"-var=rules={given}") == 0, root.said
        assert root.run(*PLAN, f"-var=rules={given}") == 0, root.said
        return rules(root)

    one, two = '{"ref":"one","path":"/1"}', '{"ref":"two","path":"/2"}'
    first = apply(f"[{one},{two}]")
    assert [rule["enabled"] for rule in first.values()] == [True, True]
    second = apply(f'[{{"ref":"new","path":"/0"}},{one},{two}]')
    assert {ref: second[ref]["id"] for ref in first} == {ref: rule["id"] for ref, rule in first.items()}
    third = apply('[{"ref":"two","path":"/2","enabled":false}]')
    assert third["two"]["id"] == first["two"]["id"]
    assert third["two"]["enabled"] is False
    assert apply(f"[{two}]")["two"]["enabled"] is True, "what is not said goes back to its default"
    unnamed = apply('[{"path":"/5"},{"path":"/6"}]')
    assert all(rule["id"] for rule in unnamed.values())


@pytest.mark.long
def test_a_ruleset_that_is_there_is_imported(tmp_path: Path, shared: Double) -> None:
    zone_id = zone(shared)["id"]
    made = ruleset(shared, zone_id, [{"ref": "one", "action": "log", "expression": "ssl"}]).json()["result"]
    text = f"""
resource "cloudflare_ruleset" "r" {{
  zone_id = "{zone_id}"
  kind    = "zone"
  phase   = "http_request_firewall_custom"
  name    = "r"
  rules   = [{{ ref = "one", action = "log", expression = "ssl" }}]
}}
"""
    root = Root(tmp_path, shared, text)
    assert root.run("import", "cloudflare_ruleset.r", f"zones/{zone_id}/{made['id']}") == 0, root.said
    assert root.run(*PLAN) == 0, root.said
    shared.result("PUT", f"/zones/{zone_id}/rulesets/{made['id']}", json={"rules": []})
    assert root.run(*PLAN) == 2, "a rule that somebody removed is drift"
    assert root.run("destroy", "-auto-approve") == 0, root.said
    assert shared.result("GET", f"/zones/{zone_id}/rulesets") == []


SETTING = """
resource "cloudflare_zone_setting" "s" {{
  zone_id    = cloudflare_zone.z.id
  setting_id = "{name}"
  value      = {value}
}}
"""


@pytest.mark.long
def test_a_setting_is_set_kept_and_left_as_it_is(tmp_path: Path, shared: Double) -> None:
    root = of_a_zone(tmp_path, shared, SETTING.format(name="ssl", value='"strict"'))
    assert root.run(*APPLY) == 0, root.said
    path = f"/zones/{root.state()['cloudflare_zone']['id']}/settings/ssl"
    shared.result("PATCH", path, json={"value": "flexible"})
    assert root.run(*PLAN) == 2
    assert '"flexible" -> "strict"' in root.said
    assert root.run(*APPLY) == 0, root.said
    assert root.run(*PLAN) == 0, root.said
    assert root.run("destroy", "-auto-approve", "-target=cloudflare_zone_setting.s") == 0, root.said
    assert "in the API it keeps its value" in root.said
    assert shared.result("GET", path)["value"] == "strict"


@pytest.mark.long
@pytest.mark.matrix(1)
@pytest.mark.parametrize("value", ["true", "12", '["on"]', "{ on = true }"])
def test_a_value_of_any_type_reaches_the_api(tmp_path: Path, shared: Double, value: str) -> None:
    root = of_a_zone(tmp_path, shared, SETTING.format(name="ssl", value=value))
    assert root.run(*APPLY) == 1
    assert "1007 Invalid value for zone setting ssl" in root.said


TOKEN = """
resource "cloudflare_account_token" "t" {{
  account_id = "{account}"
  name       = "{name}"
  policies = [{{
    effect            = "allow"
    permission_groups = [{{ id = "{write}" }}, {{ id = "{read}" }}]
    resources         = {resources}
  }}]
}}
"""


@pytest.mark.long
def test_a_token_is_imported_changed_and_deleted(tmp_path: Path, shared: Double) -> None:
    resource = f"com.cloudflare.api.account.{ACCOUNT}"
    made = token(shared, policy(resource, "Cloudflare Tunnel Read", "Cloudflare Tunnel Write"))
    read, write = IDS["Cloudflare Tunnel Read"], IDS["Cloudflare Tunnel Write"]
    resources = f'"{{ \\"{resource}\\":\\"*\\"}}"'
    text = TOKEN.format(account=ACCOUNT, name="t", read=read, write=write, resources=resources)
    root = Root(tmp_path, shared, text)
    assert root.run("import", "cloudflare_account_token.t", f"{ACCOUNT}/{made['id']}") == 0, root.said
    (root.folder / "main.tf").write_text((root.folder / "main.tf").read_text().replace('"t"\n', '"other"\n'))
    assert root.run(*APPLY) == 0, root.said
    assert root.run(*PLAN) == 0, "neither the order of groups nor the JSON's spaces are a difference"
    assert shared.result("GET", f"{TOKENS}/{made['id']}")["name"] == "other"
    assert root.run("destroy", "-auto-approve") == 0, root.said
    assert shared.call("GET", f"{TOKENS}/{made['id']}").status == 404


def test_resources_that_are_no_json_are_refused_at_once(tmp_path: Path, shared: Double) -> None:
    text = TOKEN.format(account=ACCOUNT, name="t", read="r", write="w", resources='"all"')
    root = Root(tmp_path, shared, text)
    assert root.run("validate") == 1
    assert "The resources of a policy must be a JSON object" in root.said


DATA = """
data "cloudflare_zone" "z" {{
  {by}
}}
output "zone" {{
  value = [data.cloudflare_zone.z.id, data.cloudflare_zone.z.name_servers, data.cloudflare_zone.z.account.id]
}}
"""


@pytest.mark.long
def test_a_zone_is_read_by_its_id_or_its_name(tmp_path: Path, shared: Double) -> None:
    made = zone(shared)
    by_id, by_name = f'zone_id = "{made["id"]}"', f'filter = {{ name = "{made["name"]}" }}'
    root = Root(tmp_path, shared, DATA.format(by=by_id))
    for by in (by_id, by_name, f'filter = {{ name = "{made["name"]}", account = {{ id = "{ACCOUNT}" }} }}'):
        (root.folder / "main.tf").write_text(PROVIDER + DATA.format(by=by))
        assert root.run(*APPLY, CLOUDFLARE_API_TOKEN="local-reader") == 0, root.said
        assert root.run("output", "-json", "zone") == 0
        assert json.loads(root.said) == [made["id"], made["name_servers"], ACCOUNT]
        assert root.run(*PLAN) == 0, root.said
    for by, said in (
        (f"{by_id}\n  {by_name}", "It must have either zone_id or filter"),
        ("", "It must have either zone_id or filter"),
        ('filter = { name = "nobody.test" }', "0 zones match the filter, not one"),
        (f'zone_id = "{"9" * 32}"', "HTTP 404: 1001 Invalid zone identifier"),
    ):
        (root.folder / "main.tf").write_text(PROVIDER + DATA.format(by=by))
        assert root.run(*PLAN) == 1
        assert said in root.said
