"""Plan and apply with the real terraform: exactly the approved plan, while everything it was made of still holds."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import InvalidInput, Refused, ToolFailed
from factory.system import files
from factory.terraform import apply, plan
from factory.terraform.manifest import decode, normalise
from factory.terraform.plan import Stack
from factory.terraform.screen import screen
from tests.servers import ROOT as REPOSITORY
from tests.servers import TOOL_ENV, TOOL_PATH

TERRAFORM = shutil.which("terraform", path=TOOL_PATH)
ROOT = 'variable "release" {}\nresource "terraform_data" "this" {\n  input = var.release\n}\n'

pytestmark = pytest.mark.skipif(TERRAFORM is None, reason="terraform is not installed: run `make setup`")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    root = tmp_path / "root"
    root.mkdir()
    (root / "versions.tf").write_text(f'terraform {{\n  backend "local" {{ path = "{tmp_path}/state" }}\n}}\n')
    (root / "main.tf").write_text(ROOT)
    env = {**TOOL_ENV, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "TF_VAR_release": "hello-1"}
    return Stack("production", root, "c" * 40, "sha256:policy", str(TERRAFORM), env, ("cloudflare/cloudflare",))


@pytest.fixture
def saved(stack: Stack, tmp_path: Path) -> tuple[Path, str]:
    out = tmp_path / "plan"
    manifest, _ = plan.make(stack, out, lock_state=True)
    return out, manifest.digest()


def test_plan_then_apply_then_nothing_is_left_to_do(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    facts = plan.read_facts(out)
    assert [(item.type, item.actions) for item in facts.changes] == [("terraform_data", ("create",))]
    assert json.loads((out / plan.REPORT).read_text()) == {"create": 1, "update": 0, "delete": 0}
    assert apply.apply(stack, out, approved=digest)["replan_empty"]
    assert json.loads((out / apply.RESULT).read_text())["phase"] == "done"
    manifest, after = plan.make(stack, out.parent / "again", lock_state=True)
    assert not after.changes
    assert manifest.state_serial > 0


def test_a_release_that_is_not_accepted_refuses_the_apply(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved

    def refuse() -> None:
        raise Refused("not accepted")

    with pytest.raises(Refused, match="not accepted"):
        apply.apply(stack, out, approved=digest, first=refuse)
    assert json.loads((out / apply.RESULT).read_text())["phase"] == "refused"
    assert not (out.parent / "state").exists()


def test_an_applied_plan_is_not_applied_twice(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    apply.apply(stack, out, approved=digest)
    with pytest.raises(Refused, match="state_serial"):
        apply.apply(stack, out, approved=digest)
    assert json.loads((out / apply.RESULT).read_text())["phase"] == "refused"


Tamper = Callable[[Stack, Path], Stack]


def other_plan(stack: Stack, out: Path) -> Stack:
    other = replace(stack, env={**stack.env, "TF_VAR_release": "evil"})
    plan.make(other, out.parent / "other", lock_state=True)
    shutil.copy(out.parent / "other" / plan.PLAN_FILE, out / plan.PLAN_FILE)
    return stack


def other_source(stack: Stack, out: Path) -> Stack:
    del out
    (stack.root / "main.tf").write_text(ROOT + "# changed\n")
    return stack


def moved_state(stack: Stack, out: Path) -> Stack:
    manifest, _ = plan.make(stack, out.parent / "first", lock_state=True)
    apply.apply(stack, out.parent / "first", approved=manifest.digest())
    return stack


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (other_plan, "plan_file"),
        (other_source, "source"),
        (moved_state, "state_serial"),
        (lambda stack, _: replace(stack, commit="d" * 40), "commit"),
        (lambda stack, _: replace(stack, policy="sha256:other"), "policy"),
        (lambda stack, _: replace(stack, env={**stack.env, "TF_VAR_release": "x"}), "variables"),
    ],
)
def test_whatever_differs_is_named_and_nothing_is_applied(
    stack: Stack, saved: tuple[Path, str], tamper: Tamper, named: str
) -> None:
    out, digest = saved
    changed = tamper(stack, out)
    state = out.parent / "state"
    before = state.read_bytes() if state.exists() else b""
    with pytest.raises(Refused, match=named):
        apply.apply(changed, out, approved=digest)
    assert (state.read_bytes() if state.exists() else b"") == before


def test_another_approval_and_another_manifest_are_refused(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    with pytest.raises(Refused, match="approved manifest"):
        apply.apply(stack, out, approved="sha256:" + "0" * 64)
    forged = replace(decode((out / plan.MANIFEST).read_bytes()), policy="sha256:forged")
    files.write_atomic(out / plan.MANIFEST, forged.encode())
    with pytest.raises(Refused, match="approved manifest"):
        apply.apply(stack, out, approved=digest)
    (out / plan.MANIFEST).write_text("{}")
    with pytest.raises(InvalidInput):
        apply.apply(stack, out, approved=digest)


def test_terraforms_own_error_is_told_in_one_line(stack: Stack, tmp_path: Path) -> None:
    (stack.root / "main.tf").write_text('resource "terraform_data" "a" {\n  inputt = 1\n}\n')
    with pytest.raises(ToolFailed, match="Unsupported argument"):
        plan.make(stack, tmp_path / "plan", lock_state=True)
    with pytest.raises(InvalidInput, match="there is no stack"):
        plan.make(replace(stack, root=tmp_path / "none"), tmp_path / "plan", lock_state=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tf", 'output "x" { value = file("/proc/self/environ") }'),
        ("a.tf", 'output "x" { value = templatefile ("x", {}) }'),
        ("a.tf", 'data "external" "x" {}'),
        ("a.tf", 'provider "cloudflare" { base_url = "http://127.0.0.1:1" }'),
        ("a.tf", 'resource "terraform_data" "x" { provisioner "local-exec" { command = "id" } }'),
        ("a.tf", 'terraform { required_providers { x = { source = "evil/x" } } }'),
        ("a.tf", 'module "x" { source = "../x" }'),
        ("a.tf.json", "{}"),
        ("evil.sh", "id"),
    ],
)
def test_configuration_that_reaches_out_is_refused_before_terraform_sees_it(
    stack: Stack, tmp_path: Path, name: str, text: str
) -> None:
    (stack.root / name).write_text(text)
    with pytest.raises(Refused, match=name):
        plan.make(stack, tmp_path / "plan", lock_state=True)


def test_the_shipped_stack_passes_the_screen() -> None:
    screen(REPOSITORY / "terraform/live/production", ("cloudflare/cloudflare",))


def test_sensitive_values_are_not_in_the_normalised_plan() -> None:
    change = {"actions": ["update"], "before": {"a": "s", "n": 1.5}, "before_sensitive": {"a": True}, "after": None}
    made = normalise({"resource_changes": [{"address": "x", "type": "t", "change": change}]})
    assert made["resource_changes"][0]["change"]["before"] == {"a": "(sensitive)", "n": "1.5"}
