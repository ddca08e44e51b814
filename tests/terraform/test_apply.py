"""Plan and apply with the real terraform: exactly the approved plan, while all that it is made of holds."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import Conflict, InvalidInput, NotFound, Refused, ToolFailed, Unauthorized
from factory.system import files
from factory.terraform import apply, plan
from factory.terraform.manifest import decode, normalise
from factory.terraform.plan import Stack
from factory.terraform.program import Terraform
from factory.terraform.state import State
from tests.servers import LocalGitlab
from tests.terraform.stacks import ALLOWED, ROOT, TERRAFORM, denying, make_stack, order, state_env

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")


@pytest.fixture
def stack(tmp_path: Path, gitlab_server: LocalGitlab) -> Stack:
    env = state_env(gitlab_server.url, gitlab_server.project().id, "production", gitlab_server.root_token)
    return make_stack(tmp_path / "tree", env)


@pytest.fixture
def saved(stack: Stack, tmp_path: Path) -> tuple[Path, str]:
    out = tmp_path / "plan"
    manifest, _ = plan.make(stack, out, lock_state=True)
    return out, manifest.digest()


def state_of(stack: Stack) -> State:
    env = stack.env
    return State(env["TF_HTTP_ADDRESS"], username=env["TF_HTTP_USERNAME"], token=env["TF_HTTP_PASSWORD"])


def result_in(out: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads((out / apply.RESULT).read_text())
    return value


def test_plan_then_apply_then_nothing_is_left_to_do(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    facts = plan.read_facts(out)
    assert [(item.type, item.actions) for item in facts.changes] == [("terraform_data", ("create",))]
    assert facts.changes[0].after == {"input": "hello-1", "triggers_replace": None}
    assert apply.apply(stack, out, order(digest), ALLOWED).replan_empty
    done = result_in(out)
    assert (done["phase"], done["done"], done["undone"]) == ("done", ["terraform_data.this"], [])
    manifest, after = plan.make(stack, out.parent / "again", lock_state=True)
    assert not after.changes
    assert manifest.state_serial > 0
    assert state_of(stack).holder() is None


def test_a_plan_of_opentofu_says_so_and_terraform_does_not_apply_it(stack: Stack, tmp_path: Path) -> None:
    # The real OpenTofu is in no registry of packages, so a program with its name and its words runs terraform.
    tofu = tmp_path / "tofu"
    tofu.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo OpenTofu v1.11.0 || exec {TERRAFORM} "$@"\n')
    tofu.chmod(0o755)
    version = Terraform(tmp_path, program=str(tofu), env=stack.env).version()
    other = replace(stack, program=str(tofu), terraform=version)
    manifest, _ = plan.make(other, tmp_path / "plan", lock_state=True)
    assert manifest.terraform == "OpenTofu 1.11.0"
    with pytest.raises(Refused, match="terraform"):
        apply.apply(stack, tmp_path / "plan", order(manifest.digest()), ALLOWED)
    assert apply.apply(other, tmp_path / "plan", order(manifest.digest()), ALLOWED).replan_empty


def test_a_release_that_is_not_accepted_refuses_the_apply(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved

    def refuse() -> None:
        raise Refused("not accepted")

    with pytest.raises(Refused, match="not accepted"):
        apply.apply(stack, out, order(digest), ALLOWED, first=refuse)
    assert result_in(out)["phase"] == "refused"
    assert state_of(stack).read() == b""
    assert state_of(stack).holder() is None


def test_an_applied_plan_is_not_applied_twice(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    apply.apply(stack, out, order(digest), ALLOWED)
    with pytest.raises(Refused, match="state_lineage"):
        apply.apply(stack, out, order(digest), ALLOWED)
    assert result_in(out)["phase"] == "refused"


Tamper = Callable[[Stack, Path], Stack]


def other_plan(stack: Stack, out: Path) -> Stack:
    other = replace(stack, env={**stack.env, "TF_VAR_release": "evil"})
    plan.make(other, out.parent / "other", lock_state=True)
    shutil.copy(out.parent / "other" / plan.PLAN_FILE, out / plan.PLAN_FILE)
    return stack


def other_source(stack: Stack, out: Path) -> Stack:
    del out
    (stack.tree / "terraform/live/production/main.tf").write_text(ROOT + "# changed\n")
    return stack


def other_lock(stack: Stack, out: Path) -> Stack:
    (out / plan.LOCK).write_bytes(b"# another\n")
    return stack


def moved_state(stack: Stack, out: Path) -> Stack:
    applied(stack, out.parent / "first")
    return stack


def applied(stack: Stack, out: Path) -> None:
    manifest, _ = plan.make(stack, out, lock_state=True)
    apply.apply(stack, out, order(manifest.digest()), ALLOWED)


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (other_plan, "plan_file"),
        (other_source, "source"),
        (other_lock, "provider_lock"),
        (moved_state, "state_lineage"),
        (lambda stack, _: replace(stack, commit="d" * 40), "commit"),
        (lambda stack, _: replace(stack, base="d" * 40), "base"),
        (lambda stack, _: replace(stack, policy="sha256:other"), "policy"),
        (lambda stack, _: replace(stack, terraform="1.0.0"), "terraform"),
        (lambda stack, _: replace(stack, env={**stack.env, "TF_VAR_release": "x"}), "variables"),
    ],
)
def test_whatever_differs_is_named_and_nothing_is_applied(
    stack: Stack, saved: tuple[Path, str], tamper: Tamper, named: str
) -> None:
    out, digest = saved
    changed = tamper(stack, out)
    before = state_of(stack).read()
    with pytest.raises(Refused, match=named):
        apply.apply(changed, out, order(digest), ALLOWED)
    assert state_of(stack).read() == before
    assert state_of(stack).holder() is None


def test_a_state_that_moved_on_is_planned_again_and_compared(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    apply.apply(stack, out, order(digest), ALLOWED)
    two = replace(stack, env={**stack.env, "TF_VAR_release": "hello-2"})
    manifest, _ = plan.make(two, out.parent / "two", lock_state=True)
    state = state_of(stack)
    with state.held(who="a test", operation="write", minutes=1) as lock:
        value = json.loads(state.read())
        state.write(json.dumps(value | {"serial": value["serial"] + 1}).encode(), lock)
    with pytest.raises(Refused, match="state_serial"):
        apply.apply(two, out.parent / "two", order(manifest.digest()), ALLOWED)
    done = apply.apply(two, out.parent / "two", order(manifest.digest(), stale="replan"), ALLOWED)
    assert (done.phase, done.replanned) == ("done", True)


def test_a_state_that_moved_on_to_something_else_refuses_even_then(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    apply.apply(stack, out, order(digest), ALLOWED)
    two, three = (replace(stack, env={**stack.env, "TF_VAR_release": name}) for name in ("hello-2", "hello-3"))
    manifest, _ = plan.make(two, out.parent / "two", lock_state=True)
    applied(three, out.parent / "three")
    with pytest.raises(Refused, match="has other changes"):
        apply.apply(two, out.parent / "two", order(manifest.digest(), stale="replan"), ALLOWED)


def test_another_approval_and_another_manifest_are_refused(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    with pytest.raises(Refused, match="approved manifest"):
        apply.apply(stack, out, order("sha256:" + "0" * 64), ALLOWED)
    forged = replace(decode((out / plan.MANIFEST).read_bytes()), policy="sha256:forged")
    files.write_atomic(out / plan.MANIFEST, forged.encode())
    with pytest.raises(Refused, match="approved manifest"):
        apply.apply(stack, out, order(digest), ALLOWED)
    (out / plan.MANIFEST).write_text("{}")
    with pytest.raises(InvalidInput):
        apply.apply(stack, out, order(digest), ALLOWED)


def test_an_edited_json_is_not_believed(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    edited = json.loads((out / plan.PLAN_JSON).read_text())
    edited["resource_changes"] = []
    (out / plan.PLAN_JSON).write_text(json.dumps(edited))
    with pytest.raises(Refused, match="does not match the manifest"):
        apply.apply(stack, out, order(digest), ALLOWED)


def test_what_policy_denies_is_not_applied(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    with pytest.raises(Refused, match="policy denies the plan: not today"):
        apply.apply(stack, out, order(digest), denying(lambda plan: ["not today"] if plan.changes else []))


def test_nothing_is_destroyed_without_the_token_that_names_this_plan(stack: Stack, tmp_path: Path) -> None:
    applied(stack, tmp_path / "first")
    root = stack.tree / "terraform/live/production"
    (root / "main.tf").write_text('variable "release" {}\n')
    manifest, _ = plan.make(stack, tmp_path / "gone", lock_state=True)
    for token in ("", "sha256:" + "1" * 64, manifest.digest()):
        with pytest.raises(Refused, match="would be destroyed"):
            apply.apply(stack, tmp_path / "gone", order(manifest.digest(), destroy=token), ALLOWED)
    assert apply.apply(stack, tmp_path / "gone", order(manifest.digest(), destroy=manifest.plan), ALLOWED).done


def test_two_do_not_apply_at_once(stack: Stack, saved: tuple[Path, str]) -> None:
    out, digest = saved
    with state_of(stack).held(who="job 7 of pipeline 3", operation="apply", minutes=5):
        with pytest.raises(Conflict, match="job 7 of pipeline 3 for apply"):
            apply.apply(stack, out, order(digest), ALLOWED)
        assert result_in(out)["phase"] == "refused"
    assert apply.apply(stack, out, order(digest), ALLOWED).phase == "done"


def test_what_was_done_of_a_half_failed_apply_is_told_and_the_next_plan_is_the_rest(
    stack: Stack, tmp_path: Path
) -> None:
    main = (
        'resource "terraform_data" "good" {\n  input = "a"\n}\n'
        'resource "terraform_data" "bad" {\n  input = terraform_data.good.output\n'
        '  lifecycle {\n    postcondition {\n      condition = self.output == "b"\n'
        '      error_message = "it is not b"\n    }\n  }\n}\n'
    )
    (stack.tree / "terraform/live/production/main.tf").write_text(main)
    manifest, _ = plan.make(stack, tmp_path / "half", lock_state=True)
    with pytest.raises(ToolFailed, match="it is not b"):
        apply.apply(stack, tmp_path / "half", order(manifest.digest()), ALLOWED)
    told = result_in(tmp_path / "half")
    assert told["phase"] == "failed"
    assert "terraform_data.good" in str(told["done"])
    assert b"terraform_data" in state_of(stack).read()
    assert state_of(stack).holder() is None


def test_terraforms_own_error_is_told_in_one_line(stack: Stack, tmp_path: Path) -> None:
    (stack.tree / "terraform/live/production/main.tf").write_text('resource "terraform_data" "a" {\n  inputt = 1\n}\n')
    with pytest.raises(ToolFailed, match="Unsupported argument"):
        plan.make(stack, tmp_path / "plan", lock_state=True)
    with pytest.raises(NotFound, match="terraform/live/none"):
        plan.make(replace(stack, name="none"), tmp_path / "plan", lock_state=True)


def test_a_token_that_the_state_does_not_take_is_told_as_one(stack: Stack, tmp_path: Path) -> None:
    other = replace(stack, env={**stack.env, "TF_HTTP_PASSWORD": "wrong"})
    with pytest.raises(Unauthorized, match=r"terraform (init|plan) failed"):
        plan.make(other, tmp_path / "plan", lock_state=True)
    with pytest.raises(Unauthorized, match="does not accept the token"):
        applied_with(other, stack, tmp_path / "plan")


def applied_with(other: Stack, stack: Stack, out: Path) -> None:
    manifest, _ = plan.make(stack, out, lock_state=True)
    apply.apply(other, out, order(manifest.digest()), ALLOWED)


def test_sensitive_values_are_not_in_the_normalised_plan() -> None:
    change = {"actions": ["update"], "before": {"a": "s", "n": 1.5}, "before_sensitive": {"a": True}, "after": None}
    made = normalise({"resource_changes": [{"address": "x", "type": "t", "change": change}]})
    assert made["resource_changes"][0]["change"]["before"] == {"a": "(sensitive)", "n": "1.5"}


@pytest.mark.parametrize("value", [{"errored": True}, {"complete": False}, {"deferred_changes": [{}]}])
def test_a_plan_that_is_not_whole_is_none(value: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="incomplete"):
        normalise({"resource_changes": []} | value)
