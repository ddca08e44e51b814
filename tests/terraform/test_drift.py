"""Drift with the real terraform: what was changed through Cloudflare's API is found, told once, and never written."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import FactoryError, InvalidInput, NotFound
from factory.local_cloudflare.provider import mirror
from factory.model.facts import PlannedChange
from factory.terraform import apply, drift, plan
from factory.terraform.manifest import drifted
from factory.terraform.plan import Stack
from factory.terraform.state import State
from tests.local_cloudflare.double import ACCOUNT, Double
from tests.servers import LocalGitlab
from tests.terraform.stacks import ALLOWED, TERRAFORM, make_stack, order, state_env

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")

MAIN = """
terraform {
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}
variable "account_id" {}
variable "release" {}
variable "hidden" { sensitive = true }
resource "cloudflare_zone" "this" {
  account = { id = var.account_id }
  name    = "hello.test"
}
resource "cloudflare_dns_record" "plain" {
  zone_id = cloudflare_zone.this.id
  name    = "plain.hello.test"
  type    = "TXT"
  content = "one"
  ttl     = 300
  tags    = ["b:2", "a:1"]
}
resource "cloudflare_dns_record" "hidden" {
  zone_id = cloudflare_zone.this.id
  name    = "hidden.hello.test"
  type    = "TXT"
  content = var.hidden
  ttl     = 300
}
output "release" { value = var.release }
"""
PLAIN, HIDDEN = "cloudflare_dns_record.plain", "cloudflare_dns_record.hidden"


def everything(_: PlannedChange) -> bool:
    return True


class World:
    """One applied stack, the double behind it, and how to change it behind terraform's back."""

    def __init__(self, folder: Path, server: LocalGitlab, double: Double) -> None:
        self.double, self.out = double, folder / "out" / "drift"
        project = server.project()
        person, token = server.user("reader")
        project.members.create({"user_id": person.id, "access_level": 30})
        given = {
            "TF_CLI_CONFIG_FILE": str(mirror.write(folder / "mirror", sys.executable)),
            "CLOUDFLARE_BASE_URL": double.api,
            "CLOUDFLARE_API_TOKEN": "local-writer",
            "TF_VAR_account_id": ACCOUNT,
            "TF_VAR_hidden": "planted-4711",
        }
        env = state_env(server.url, project.id, "production", server.root_token)
        owned = make_stack(folder / "tree", {**env, **given}, main=MAIN)
        manifest, _ = plan.make(owned, folder / "plan", lock_state=True)
        apply.apply(owned, folder / "plan", order(manifest.digest()), ALLOWED)
        # From here on with tokens that may only read.
        self.stack = self.given(owned, CLOUDFLARE_API_TOKEN="local-reader", TF_HTTP_PASSWORD=token)
        self.state = State(env["TF_HTTP_ADDRESS"], username="someone", token=server.root_token)
        (self.zone,) = [zone["id"] for zone in double.result("GET", "/zones")]

    @staticmethod
    def given(stack: Stack, **env: str) -> Stack:
        return replace(stack, env={**stack.env, **env})

    def record(self, name: str) -> dict[str, Any]:
        found = self.double.result("GET", f"/zones/{self.zone}/dns_records")
        return next(item for item in found if item["name"].startswith(name))

    def change(self, name: str, **fields: Any) -> None:
        """Change a record as a person at Cloudflare's dashboard does."""
        self.double.result("PATCH", f"/zones/{self.zone}/dns_records/{self.record(name)['id']}", json=fields)

    def look(self, counts: drift.Counts = everything, **env: str) -> drift.Report:
        (looked,) = drift.look_all([self.given(self.stack, **env)], self.out, counts, parallel=1)
        assert looked.error is None, looked.error
        written = (self.out / "production.json").read_bytes()
        assert drift.decode(written) == looked.report
        assert b"planted" not in written
        return looked.report


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, gitlab_server: LocalGitlab) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("drift")
    double = Double(folder / "cloudflare")
    yield World(folder, gitlab_server, double)
    double.close()


@pytest.mark.long
def test_an_untouched_stack_is_clean_whatever_release_the_variables_name(world: World) -> None:
    assert world.look().clean
    assert world.look(TF_VAR_release="hello-2").clean


@pytest.mark.long
def test_what_was_changed_outside_has_one_fingerprint_until_it_is_another_or_set_back(world: World) -> None:
    serial = world.state.identity().serial
    world.change("plain", content="two")
    with world.state.held(who="an apply", operation="apply", minutes=1):
        found = world.look()
    (change,) = found.resources
    assert (change.address, change.actions) == (PLAIN, ("update",))
    assert (change.before, change.after) == ({"content": "one"}, {"content": "two"})
    assert found.fingerprint == world.look().fingerprint
    world.change("plain", content="three")
    assert world.look().fingerprint != found.fingerprint
    world.change("plain", content="one")
    assert world.look().clean
    assert world.state.identity().serial == serial, "looking writes no state"
    assert not world.out.with_name("drift-work").joinpath("production").exists()


@pytest.mark.long
def test_a_sensitive_value_is_told_of_and_not_shown(world: World) -> None:
    world.change("hidden", content="planted-elsewhere")
    (change,) = world.look().resources
    assert change.address == HIDDEN
    assert (change.before or {})["content"] == (change.after or {})["content"] == "(sensitive)"
    world.change("hidden", content="planted-4711")
    assert world.look().clean


@pytest.mark.long
def test_another_order_of_plain_values_and_what_policy_calls_noise_are_no_drift(world: World) -> None:
    world.change("plain", tags=["a:1", "b:2"])
    assert world.look().clean
    world.change("plain", ttl=600, comment="noise")

    def no_comment(change: PlannedChange) -> bool:
        return "comment" not in (change.before or {})

    (change,) = world.look(no_comment).resources
    assert (change.before, change.after) == ({"ttl": 300}, {"ttl": 600})
    world.change("plain", ttl=300)
    assert world.look(no_comment).clean
    world.change("plain", comment=None, tags=["b:2", "a:1"])


@pytest.mark.long
def test_a_stack_that_cannot_be_looked_at_says_why_and_stops_no_other(world: World) -> None:
    stacks = [
        replace(world.stack, name="gone"),
        world.given(world.stack, TF_HTTP_PASSWORD="planted-wrong"),
        world.stack,
    ]
    gone, refused, fine = drift.look_all(stacks, world.out, everything, parallel=1)
    assert isinstance(gone.error, NotFound)
    assert isinstance(refused.error, FactoryError)
    assert refused.report.problem
    assert "planted" not in refused.report.problem
    assert not refused.report.clean
    assert fine.report.clean


@pytest.mark.long
def test_what_is_gone_is_told_last_of_all(world: World) -> None:
    world.double.result("DELETE", f"/zones/{world.zone}/dns_records/{world.record('plain')['id']}")
    (change,) = world.look().resources
    assert (change.address, change.actions, change.before) == (PLAIN, ("delete",), {})


def resource(before: Any, after: Any, *actions: str, **more: Any) -> dict[str, Any]:
    change = {"actions": list(actions or ("update",)), "before": before, "after": after}
    return {"address": "a.b", "type": "a", "change": change | more}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (resource({"a": [1, 2]}, {"a": [2, 1]}), []),
        (resource({"a": {"b": ["x", "y"]}}, {"a": {"b": ["y", "x"]}}), []),
        (resource({"a": [{"p": 1}, {"p": 2}]}, {"a": [{"p": 2}, {"p": 1}]}), ["a"]),
        (resource({"a": 1}, {"a": 1}, "no-op"), []),
        (resource({"a": 1, "b": 2}, {"a": 1, "c": 3}), ["b", "c"]),
        (resource({"a": 1.5}, {"a": 2.5}), ["a"]),
        (resource({"a": "x"}, {"a": "y"}, before_sensitive={"a": True}, after_sensitive={"a": True}), ["a"]),
    ],
)
def test_which_attributes_differ(item: dict[str, Any], expected: list[str]) -> None:
    found = drifted({"resource_drift": [item]}, {})
    assert [name for each in found for name in each["changed"]] == expected
    assert '"y"' not in json.dumps(found) or "x" not in expected


def test_what_no_configuration_can_set_is_no_drift_at_any_depth() -> None:
    seen, both, set_by_people = {"computed": True}, {"computed": True, "optional": True}, {"required": True}
    inner = {"a": set_by_people, "seen": seen}
    schema = {"seen": seen, "both": both} | {
        mode: {"optional": True, "nested_type": {"nesting_mode": mode, "attributes": inner}}
        for mode in ("single", "list", "map")
    }

    def values(number: int, other: int) -> dict[str, Any]:
        one = {"a": number, "seen": other}
        return {"seen": other, "both": number, "single": one, "list": [one], "map": {"seen": one}}

    assert drifted({"resource_drift": [resource(values(1, 1), values(1, 2))]}, {"a": schema}) == []
    (found,) = drifted({"resource_drift": [resource(values(1, 1), values(2, 2))]}, {"a": schema})
    assert found["changed"] == {
        "both": {"before": 1, "after": 2},
        "single": {"before": {"a": 1}, "after": {"a": 2}},
        "list": {"before": [{"a": 1}], "after": [{"a": 2}]},
        "map": {"before": {"seen": {"a": 1}}, "after": {"seen": {"a": 2}}},
    }


def test_a_plan_that_ended_in_an_error_is_no_clean_one() -> None:
    with pytest.raises(InvalidInput):
        drifted({"errored": True}, {})


def test_a_report_that_is_not_what_its_fingerprint_says_is_refused() -> None:
    report = drift.Report("a", "c", (PlannedChange("a.b", "a", ("update",), {"x": 1}, {"x": 2}),))
    assert drift.decode(report.encode()) == report
    with pytest.raises(InvalidInput, match="fingerprint"):
        drift.decode(report.encode().replace(b'"after":2', b'"after":3'))
    for data in (b"", b"[]", b"{}", b'{"stack": "a"}'):
        with pytest.raises(InvalidInput, match="not readable"):
            drift.decode(data)
