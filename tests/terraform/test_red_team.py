"""The red team against an approved plan: whatever was changed around it is named, and nothing is applied."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.errors import InvalidInput, Refused, ToolFailed
from factory.system import canonical
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform.manifest import decode
from tests.terraform.red_team import FIRST, HEAD, SECOND, ZONE, Attack, Scene, World, record
from tests.terraform.stacks import TERRAFORM

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")

ZERO = "sha256:" + "0" * 64
EVIL = FIRST + record("evil")
HIDDEN = HEAD + ZONE + record("plain", "var.hidden")
FEWER = HEAD + ZONE
PLAN, SHOWN, MANIFEST = planning.PLAN_FILE, planning.PLAN_JSON, planning.MANIFEST


def gone(scene: Scene, name: str) -> Scene:
    (scene.out / name).unlink()
    return scene


def cut(scene: Scene, name: str, size: int) -> Scene:
    return scene.written(name, (scene.out / name).read_bytes()[:size])


def swapped(scene: Scene) -> Scene:
    return scene.written(PLAN, (scene.world.plan(EVIL) / PLAN).read_bytes())


def approved(scene: Scene) -> Scene:
    """Have a person approve whatever manifest is there."""
    return scene.ordered(approved=decode((scene.out / MANIFEST).read_bytes()).digest())


def vouched(scene: Scene) -> Scene:
    """Have the manifest vouch for whatever plan file is there, and a person approve that."""
    return approved(scene.edit(MANIFEST, plan_file=canonical.digest((scene.out / PLAN).read_bytes())))


def harmless(scene: Scene) -> Scene:
    """Have JSON and manifest agree that nothing changes, while the plan file makes a record."""
    shown = json.loads((scene.out / SHOWN).read_bytes()) | {"resource_changes": []}
    return scene.written(SHOWN, canonical.encode(shown)).edit(MANIFEST, plan=canonical.digest_of(shown))


FILES = [
    Attack("plan file swapped", swapped, Refused, "has changed: plan_file"),
    Attack("plan file swapped and vouched for", lambda s: vouched(swapped(s)), Refused, "has changed: plan$"),
    Attack("plan file cut short", lambda s: cut(s, PLAN, 500), Refused, "has changed: plan_file"),
    Attack("plan file that is none", lambda s: vouched(s.written(PLAN, b"x")), ToolFailed, "terraform show failed"),
    Attack("plan file gone", lambda s: gone(s, PLAN), InvalidInput, f"cannot read .*{PLAN}"),
    Attack("JSON edited", lambda s: s.edit(SHOWN, resource_changes=[]), Refused, "does not match the manifest"),
    Attack("JSON cut short", lambda s: cut(s, SHOWN, 90), Refused, "no readable plan"),
    Attack("JSON gone", lambda s: gone(s, SHOWN), Refused, "no readable plan"),
    Attack("JSON and manifest edited", harmless, Refused, "the approved manifest is"),
    Attack("JSON edited and approved", lambda s: approved(harmless(s)), Refused, "has changed: plan$"),
    Attack("manifest edited", lambda s: s.edit(MANIFEST, policy=ZERO), Refused, "the approved manifest is"),
    Attack(
        "other stack's manifest", lambda s: approved(s.edit(MANIFEST, stack="staging")), Refused, "has changed: stack"
    ),
    Attack(
        "field added to the manifest",
        lambda s: s.edit(MANIFEST, a=1),
        InvalidInput,
        "the plan's manifest: a: unknown key",
    ),
    Attack("manifest cut short", lambda s: cut(s, MANIFEST, 40), InvalidInput, "the plan's manifest"),
    Attack("plan that ended in an error", lambda s: gone(s, MANIFEST), InvalidInput, f"cannot read .*{MANIFEST}"),
    Attack("other provider lock", lambda s: s.written(planning.LOCK, b"#\n"), Refused, "has changed: provider_lock"),
]


def source(scene: Scene, name: str, text: str) -> Scene:
    (scene.root / name).write_text(text)
    return scene


def stack(scene: Scene, **fields: Any) -> Scene:
    return replace(scene, stack=replace(scene.stack, **fields))


def moved(scene: Scene, **fields: Any) -> Scene:
    return scene.write_state(serial=scene.state.identity().serial + 1, **fields)


def elsewhere(scene: Scene) -> Scene:
    return scene.given(TF_HTTP_ADDRESS=scene.stack.env["TF_HTTP_ADDRESS"].replace("production", "elsewhere"))


def restored(scene: Scene) -> Scene:
    """Put the plan that was applied first in the place of the new one, with the approval of that time."""
    shutil.copytree(scene.world.applied, scene.out, dirs_exist_ok=True)
    (scene.out / applying.RESULT).unlink()
    source(scene, "main.tf", FIRST)
    return approved(scene)


MOVED = [
    Attack("source edited", lambda s: source(s, "main.tf", SECOND + "#\n"), Refused, "has changed: source"),
    Attack("override added", lambda s: source(s, "a_override.tf", "#\n"), Refused, "changed: source"),
    Attack("head moved on", lambda s: stack(s, commit="d" * 40), Refused, "has changed: commit"),
    Attack("base moved on", lambda s: stack(s, base="d" * 40), Refused, "has changed: base"),
    Attack("other policy", lambda s: stack(s, policy=ZERO), Refused, "has changed: policy"),
    Attack("other terraform", lambda s: stack(s, terraform="1.0.0"), Refused, "has changed: terraform"),
    Attack("other archives", lambda s: stack(s, archives={"hello": ZERO}), Refused, "has changed: archives"),
    Attack("variable changed", lambda s: s.given(TF_VAR_release="evil"), Refused, "has changed: variables"),
    Attack("variable added", lambda s: s.given(TF_VAR_hidden="evil"), Refused, "has changed: variables"),
    Attack("state moved on", lambda s: moved(s).ordered(stale="refuse"), Refused, "has changed: state_serial"),
    Attack("state emptied", lambda s: moved(s, resources=[]), Refused, "a new plan has other changes"),
    Attack("state moved on, values hidden", moved, Refused, "sensitive values cannot be compared", HIDDEN),
    Attack("state of another lineage", lambda s: moved(s, lineage="evil"), Refused, "has changed: state_lineage"),
    Attack("other state", elsewhere, Refused, "has changed: state_lineage"),
    Attack("state that is none", lambda s: moved(s, version=99), ToolFailed, "terraform .* failed"),
    Attack("plan replayed with its approval", restored, Refused, "has changed: state_lineage"),
]


def other_digest(scene: Scene, name: str) -> str:
    digest: str = json.loads((scene.world.plan(EVIL) / MANIFEST).read_text())[name]
    return digest


def many(count: int) -> str:
    return FIRST + "".join(record(f"r{number}") for number in range(count))


def unchanged(scene: Scene) -> Scene:
    return scene


POLICY = [
    Attack("no approval", lambda s: s.ordered(approved=""), Refused, "the approved manifest is ,"),
    Attack(
        "approval of another plan",
        lambda s: s.ordered(approved=decode((s.world.plan(EVIL) / MANIFEST).read_bytes()).digest()),
        Refused,
        "the approved manifest is",
    ),
    Attack(
        "approval by the plan's digest",
        lambda s: s.ordered(approved=json.loads((s.out / MANIFEST).read_text())["plan"]),
        Refused,
        "the approved manifest is",
    ),
    Attack("destroy without a token", unchanged, Refused, "the token that allows it is missing", FEWER),
    Attack(
        "token of another plan", lambda s: s.ordered(destroy=other_digest(s, "plan")), Refused, "another plan", FEWER
    ),
    Attack("approval as a token", lambda s: s.ordered(destroy=s.order.approved), Refused, "names another plan", FEWER),
    Attack("zone destroyed", unchanged, Refused, "protected and would be destroyed", HEAD),
    Attack("too many changes", unchanged, Refused, "21 resources change; the maximum is 20", many(21)),
    Attack(
        "too much changed",
        lambda s: s,
        Refused,
        "of 4 resources are changed or destroyed; the maximum is 60 %",
        FIRST.replace('"strict"', '"full"').replace('"1.2"', '"1.3"').replace("var.release", '"x"'),
    ),
    Attack(
        "unknown type",
        unchanged,
        Refused,
        "does not list the resource type terraform_data",
        FIRST + 'resource "terraform_data" "x" {}\n',
    ),
    Attack(
        "weaker encryption", unchanged, Refused, "value is 'off': traffic between", FIRST.replace('"strict"', '"off"')
    ),
    Attack(
        "record that is not proxied",
        unchanged,
        Refused,
        "works only behind Cloudflare's proxy",
        FIRST + record("a", '"f70ff985-a4ef-4643-bbbc-4a0ed4fc8415.cfargotunnel.com"').replace('"TXT"', '"CNAME"'),
    ),
]


@pytest.mark.long
@pytest.mark.matrix(10)
@pytest.mark.parametrize("attack", [*FILES, *MOVED, *POLICY], ids=lambda attack: attack.name)
def test_attack(attacked: World, tmp_path: Path, attack: Attack) -> None:
    attack.must_fail(attacked.scene(tmp_path, attack.main))


@pytest.mark.long
def test_what_nobody_attacked_is_applied(attacked: World, tmp_path: Path) -> None:
    with attacked.another(tmp_path) as mine:
        scene = mine.scene(tmp_path / "scene")
        before = scene.seen()
        scene.apply()
        assert scene.told()["done"] == ["cloudflare_dns_record.new"]
        assert scene.seen() != before
