"""Resources that are moved, imported and let go, as terraform itself plans them, and what policy says of it."""

from pathlib import Path

import pytest

from factory.model.facts import Plan
from factory.policies import plans
from factory.policies.terraform import ProtectedResources
from factory.terraform import apply as applying
from factory.terraform import plan as planning
from factory.terraform.plan import Stack
from tests.policies.shipped import POLICIES
from tests.servers import LocalGitlab
from tests.terraform.stacks import ALLOWED, TERRAFORM, make_stack, order, state_env

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")
OLD = 'resource "terraform_data" "old" {\n  input = 1\n}\n'
MOVED = OLD.replace('"old"', '"new"') + "moved {\n  from = terraform_data.old\n  to   = terraform_data.new\n}\n"
LET_GO = "removed {\n  from = terraform_data.old\n  lifecycle {\n    destroy = false\n  }\n}\n"
TAKEN_AWAY = LET_GO.replace("false", "true")


@pytest.fixture
def stack(tmp_path: Path, gitlab_server: LocalGitlab) -> Stack:
    """Return a stack with one resource in its state."""
    project = gitlab_server.project().id
    env = state_env(gitlab_server.url, project, "production", gitlab_server.root_token)
    made = make_stack(tmp_path / "tree", env, main=OLD)
    manifest, _ = planning.make(made, tmp_path / "first", lock_state=True)
    applying.apply(made, tmp_path / "first", order(manifest.digest()), ALLOWED)
    return made


def planned(stack: Stack, main: str) -> tuple[Path, str, Plan]:
    (stack.tree / "terraform/live/production/main.tf").write_text(main)
    out = stack.tree.parent / "next"
    manifest, plan = planning.make(stack, out, lock_state=True)
    return out, manifest.digest(), plan


def denied(plan: Plan, *, protected: tuple[str, ...] = ()) -> list[str]:
    """Return the rules by which policy denies a plan, with these addresses protected and the type known."""
    own = POLICIES.terraform
    terraform = own.model_copy(
        update={
            "types": (*own.types, "terraform_data"),
            "protected": ProtectedResources(types=(), addresses=protected),
            "limits": own.limits.model_copy(update={"percent": 100}),
        }
    )
    rulings = plans.judge(POLICIES.model_copy(update={"terraform": terraform}), plan, today="2026-01-01")
    return [ruling.rule for ruling in rulings if not ruling.allowed]


def test_a_move_says_from_where_and_is_applied(stack: Stack) -> None:
    out, manifest, plan = planned(stack, MOVED)
    (change,) = plan.changes
    assert (change.address, change.origin, change.actions) == ("terraform_data.new", "terraform_data.old", ("move",))
    assert denied(plan) == []
    assert denied(plan, protected=("terraform_data.old",)) == ["plan.protected"]
    result = applying.apply(stack, out, order(manifest), ALLOWED)
    assert (result.phase, result.replan_empty) == ("done", True)
    assert planned(stack, MOVED)[2].changes == ()


def test_an_import_is_told_and_is_applied(stack: Stack) -> None:
    block = 'import {\n  to = terraform_data.taken\n  id = "an-id"\n}\nresource "terraform_data" "taken" {}\n'
    out, manifest, plan = planned(stack, OLD + block)
    (change,) = plan.changes
    assert change.address == "terraform_data.taken"
    assert "import" in change.actions
    assert denied(plan) == []
    result = applying.apply(stack, out, order(manifest), ALLOWED)
    assert (result.phase, result.replan_empty) == ("done", True)


def test_nothing_is_let_go(stack: Stack) -> None:
    _, _, plan = planned(stack, LET_GO)
    (change,) = plan.changes
    assert change.actions == ("forget",)
    assert denied(plan) == ["plan.action"]


def test_a_removed_block_that_destroys_is_a_destroy(stack: Stack) -> None:
    _, _, plan = planned(stack, TAKEN_AWAY)
    assert plan.destroyed == ("terraform_data.old",)
    assert denied(plan, protected=("terraform_data.old",)) == ["plan.protected"]
