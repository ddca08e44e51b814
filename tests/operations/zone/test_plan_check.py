"""The plan job against a zone that others use too, with the real terraform on the loopback Cloudflare."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory.cloudflare.client import Reader
from factory.errors import Refused, Unauthorized
from factory.local_cloudflare.provider import mirror
from factory.operations.zone import plan_check
from factory.terraform import apply, plan
from factory.terraform.plan import Stack
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.local_cloudflare.root import TERRAFORM as TERRAFORM_FILES
from tests.servers import LocalGitlab
from tests.terraform.stacks import ALLOWED, HTTP, TERRAFORM, make_stack, order, state_env

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`"),
]
CUSTOM, RATE = "http_request_firewall_custom", "http_ratelimit"
PINNED = 'cloudflare = { source = "cloudflare/cloudflare", version = "= 5.14.0" }'
VERSIONS = HTTP.replace("terraform {\n", f"terraform {{\n  required_providers {{\n    {PINNED}\n  }}\n")
IMPORT = 'import {{\n  to = module.waf.cloudflare_ruleset.custom[0]\n  id = "{}"\n}}\n'
MAIN = """
module "waf" {{
  source      = "../../modules/waf"
  zone_id     = "{zone}"
  hostnames   = ["www.acme.com"]
  rules       = {rules}
  rate_limits = {limits}
}}
"""
RULE = {"action": "log", "expression": "ssl", "description": "of \x1b[31m others"}
LIMITS = '{ hello = { hostname = "www.acme.com", requests = 9 } }'


class Place:
    """A root with the module waf in a zone that exists, and its plan job."""

    def __init__(self, folder: Path, double: Double, stack: Stack, zone: str) -> None:
        self.folder, self.double, self.stack, self.zone = folder, double, stack, zone
        self._numbers = iter(range(100))

    def write(self, *, rules: str = "null", limits: str = "{}") -> None:
        main = MAIN.format(zone=self.zone, rules=rules, limits=limits)
        (self.stack.tree / "terraform/live/production/main.tf").write_text(main)

    def plan(self, token: str = "local-reader") -> tuple[Path, str]:
        out = self.folder / f"plan{next(self._numbers)}"
        check = plan_check.of(Reader(token, url=self.double.api))
        manifest, _ = plan.make(self.stack, out, lock_state=True, check=check)
        return out, manifest.digest()

    def apply(self) -> None:
        out, digest = self.plan()
        apply.apply(self.stack, out, order(digest), ALLOWED)

    def refused(self) -> Refused:
        with pytest.raises(Refused) as told:
            self.plan()
        return told.value

    def live(self, phase: str) -> Any:
        return self.double.result("GET", f"/zones/{self.zone}/rulesets/phases/{phase}/entrypoint")

    def put(self, phase: str, rules: list[dict[str, Any]]) -> None:
        """Set the rules of a phase, as a person does in the dashboard."""
        found = self.double.call("GET", f"/zones/{self.zone}/rulesets/phases/{phase}/entrypoint")
        if found.status == 404:
            body = {"name": "default", "kind": "zone", "phase": phase, "rules": rules}
            self.double.result("POST", f"/zones/{self.zone}/rulesets", json=body)
        else:
            path = f"/zones/{self.zone}/rulesets/{found.json()['result']['id']}"
            self.double.result("PUT", path, json={"rules": rules})


@pytest.fixture
def place(tmp_path: Path, gitlab_server: LocalGitlab) -> Iterator[Place]:
    double = Double(tmp_path / "cloudflare")
    zone = double.result("POST", "/zones", json={"name": "acme.com", "account": {"id": ACCOUNT}})["id"]
    env = state_env(gitlab_server.url, gitlab_server.project().id, "production", gitlab_server.root_token)
    env |= {
        "TF_CLI_CONFIG_FILE": str(mirror.write(tmp_path / "mirror", sys.executable)),
        "CLOUDFLARE_BASE_URL": double.api,
        "CLOUDFLARE_API_TOKEN": "local-writer",
    }
    stack = make_stack(tmp_path / "tree", env, backend=VERSIONS)
    shutil.copytree(TERRAFORM_FILES / "modules", tmp_path / "tree/terraform/modules")
    yield Place(tmp_path, double, stack, zone)
    double.close()


def test_rules_of_others_are_never_lost(place: Place) -> None:
    place.put(CUSTOM, [RULE])
    place.write()
    told = place.refused()
    assert "module.waf.cloudflare_ruleset.custom[0] would remove 1 rule of others" in str(told)
    assert "of [31m others: ssl" in str(told)
    assert "`custom_rules = false` in terraform/live/production/zone.tf" in told.hint
    place.put(CUSTOM, [])
    told = place.refused()
    assert "an empty ruleset in http_request_firewall_custom already" in str(told)
    key = f"zones/{place.zone}/{place.live(CUSTOM)['id']}"
    assert f'import {{ to = module.waf.cloudflare_ruleset.custom[0], id = "{key}" }}' in told.hint

    (place.stack.tree / "terraform/live/production/imports.tf").write_text(IMPORT.format(key))
    place.apply()
    ours = place.live(CUSTOM)["rules"]
    assert [rule["ref"] for rule in ours] == ["no_git", "no_env"]
    assert ours[0]["expression"].startswith('(http.host in {"www.acme.com"}) and (starts_with(')

    place.put(CUSTOM, [*ours, RULE])
    assert "would remove 1 rule of others" in str(place.refused())
    place.write(rules="[]")
    assert "would remove 1 rule of others" in str(place.refused())
    assert [rule["ref"] for rule in place.live(CUSTOM)["rules"]][:2] == ["no_git", "no_env"]
    place.put(CUSTOM, ours)
    place.write(rules='[{ ref = "no_git", description = "d", expression = "ssl" }]')
    place.apply()
    assert [rule["ref"] for rule in place.live(CUSTOM)["rules"]] == ["no_git"]


def test_a_plan_that_cloudflare_would_refuse_halfway_is_refused_at_once(place: Place) -> None:
    place.double.result("POST", f"/zones/{place.zone}/subscription", json={"rate_plan": {"id": "free"}})
    place.write(limits=LIMITS)
    told = place.refused()
    assert "Cloudflare's plan free cannot do module.waf.cloudflare_ruleset.rate_limit[0]" in str(told)
    assert "the rule hello matches http.host" in str(told)
    assert "`rate_limited = false` in terraform/live/production/zone.tf" in told.hint
    limit = {"characteristics": ["cf.colo.id", "ip.src"], "period": 60, "requests_per_period": 9}
    rule = {"action": "block", "expression": 'http.host eq "www.acme.com"', "ratelimit": limit}
    body = {"name": "r", "kind": "zone", "phase": RATE, "rules": [rule]}
    answer = place.double.call("POST", f"/zones/{place.zone}/rulesets", json=body)
    assert (answer.status, "not entitled on the plan Free Website" in answer.text) == (400, True)
    place.double.result("PUT", f"/zones/{place.zone}/subscription", json={"rate_plan": {"id": "pro"}})
    place.apply()
    assert [rule["ref"] for rule in place.live(RATE)["rules"]] == ["hello"]


def test_a_zone_that_cannot_be_read_has_no_plan(place: Place) -> None:
    place.write()
    with pytest.raises(Unauthorized, match="HTTP 403"):
        place.plan("local-nobody")
