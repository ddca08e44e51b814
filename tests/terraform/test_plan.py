"""Planning many stacks: which, in which order, what is written, and what one failure means for the others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from factory.errors import InvalidInput, ToolFailed
from factory.terraform import plan, stacks
from factory.terraform.source_check import Source
from tests.servers import LocalGitlab
from tests.terraform.stacks import ROOT, TERRAFORM, make_stack, state_env

pytestmark = pytest.mark.skipif(not TERRAFORM, reason="terraform is not installed: run `make setup`")
SOURCE = Source("terraform/live/a", ("terraform/live/a", "terraform/modules/dns"), ())


def test_stacks_come_behind_those_they_come_after() -> None:
    after = {"production": ["staging", "zone"], "staging": ["zone"], "zone": [], "other": []}
    assert stacks.ordered(after, ["production", "staging", "zone"]) == ("zone", "staging", "production")
    assert stacks.ordered(after, ["production"]) == ("production",)
    with pytest.raises(InvalidInput, match="the stack 'x' is not in policies"):
        stacks.ordered(after, ["x"])


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["terraform/live/a/main.tf"], True),
        (["terraform/modules/dns/main.tf"], True),
        (["apps/hello/src/hello.py"], True),
        (["policies/terraform.yml"], True),
        (["terraform/live/ab/main.tf", "terraform/modules/dnsx/a.tf", "apps/hello2/x", "docs/a.md"], False),
        ([], False),
    ],
)
def test_a_stack_is_touched_by_its_folders_modules_apps_and_policies(paths: list[str], expected: bool) -> None:  # noqa: FBT001 - parametrized
    assert stacks.touched(SOURCE, ["hello"], paths) is expected


def test_many_are_planned_at_once_and_one_failure_stops_only_what_comes_after_it(
    tmp_path: Path, gitlab_server: LocalGitlab
) -> None:
    project = gitlab_server.project().id
    made = [
        make_stack(
            tmp_path, state_env(gitlab_server.url, project, name, gitlab_server.root_token), name=name, main=main
        )
        for name, main in (
            ("a", ROOT),
            ("b", 'resource "terraform_data" "x" {\n  nonsense = 1\n}\n'),
            ("c", ROOT),
            ("d", ROOT),
        )
    ]
    out = tmp_path / "plan"
    after = {"a": (), "b": (), "c": ("b",), "d": ("a",)}
    found = {item.stack: item for item in plan.make_all(made, out, after=after, lock_state=True, parallel=2)}
    assert [name for name, item in found.items() if item.error is None] == ["a", "d"]
    assert isinstance(found["b"].error, ToolFailed)
    assert "b, which it depends on, has no plan" in str(found["c"].error)
    assert json.loads((out / plan.REPORT).read_text()) == {"create": 2, "update": 0, "delete": 0}
    index = json.loads((out / plan.INDEX).read_text())
    assert index["stacks"]["a"]["manifest"] == found["a"].manifest.digest() if found["a"].manifest else None
    assert "Unsupported argument" in index["stacks"]["b"]["problem"]
    facts = {item.stack: item for item in plan.read_all(out)}
    assert not facts["a"].problem
    assert facts["b"].problem
    assert not (out / "a" / "work").exists()


def test_no_stack_is_a_plan_of_nothing(tmp_path: Path) -> None:
    assert plan.make_all([], tmp_path / "plan", after={}, lock_state=False, parallel=2) == []
    assert plan.read_all(tmp_path / "plan") == ()
    assert json.loads((tmp_path / "plan" / plan.REPORT).read_text()) == {"create": 0, "update": 0, "delete": 0}


def test_without_an_index_there_is_no_readable_plan(tmp_path: Path) -> None:
    (found,) = plan.read_all(tmp_path)
    assert "no readable plan" in found.problem


def test_a_plan_says_which_state_it_was_made_from(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    env = state_env(gitlab_server.url, gitlab_server.project().id, "production", gitlab_server.root_token)
    stack = make_stack(tmp_path, env)
    manifest, _ = plan.make(stack, tmp_path / "plan", lock_state=True)
    assert (manifest.state_lineage, manifest.state_serial) == ("", 0)
    with pytest.raises(InvalidInput, match="plan file is not readable"):
        plan.state_of(b"no archive")
    with pytest.raises(InvalidInput, match="plan file is not readable"):
        plan.state_of((tmp_path / "plan" / plan.PLAN_FILE).read_bytes()[:200])


def test_tokens_are_not_in_what_is_written(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    env = state_env(gitlab_server.url, gitlab_server.project().id, "production", gitlab_server.root_token)
    stack = make_stack(
        tmp_path, {**env, "CLOUDFLARE_API_TOKEN": "local-planted-4711", "TF_VAR_release": "local-planted-4711"}
    )
    plan.make(replace(stack), tmp_path / "plan", lock_state=True)
    shown = [path for path in (tmp_path / "plan").rglob("*") if path.is_file() and path.name != plan.PLAN_FILE]
    assert shown
    assert all(b"local-planted-4711" not in path.read_bytes() for path in shown)


@pytest.mark.long
def test_a_plan_whose_json_is_nested_too_deeply_stops_no_other(tmp_path: Path, gitlab_server: LocalGitlab) -> None:
    project, deep = gitlab_server.project().id, f'jsondecode("{"[" * 600}{"]" * 600}")'
    made = [
        make_stack(
            tmp_path, state_env(gitlab_server.url, project, name, gitlab_server.root_token), name=name, main=main
        )
        for name, main in (("deep", f'{ROOT}\noutput "deep" {{ value = {deep} }}\n'), ("plain", ROOT))
    ]
    found = plan.make_all(made, tmp_path / "plan", after={}, lock_state=True, parallel=2)
    assert {item.stack: str(item.error) for item in found} == {
        "deep": "the plan's JSON is nested too deeply to be judged",
        "plain": "None",
    }
    assert found[0].plan.problem == str(found[0].error)
