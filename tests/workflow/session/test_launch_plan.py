"""Tests of what an attempt starts with: nothing that an earlier attempt left leads outside the agent's own folders."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from factory.workflow.session import launch_plan
from factory.workflow.session.launch_plan import LaunchPlan
from factory.workflow.session.routing import AgentChoice
from factory.worktrees import worktree
from factory.worktrees.repository import Author
from tests.servers import git
from tests.workflow.recorded_gitlab import World, world

AGENT = "codex"


@pytest.fixture
def here(tmp_path: Path) -> World:
    made = world(tmp_path, "claimed")
    npm = tmp_path / "npm"
    (npm / "_cacache/content-v2").mkdir(parents=True)
    machine = replace(made.context.machine, npm=npm, credential=lambda _: "a key")
    made = replace(made, context=replace(made.context, machine=machine))
    worktree.prepare(made.context.mirror, made.session.worktree, commit=made.context.main())
    return made


@contextmanager
def prepared(made: World, number: int) -> Iterator[LaunchPlan]:
    policies = made.context.policies()
    agent = policies.agents.agents[AGENT]
    (made.session.attempt(number)).mkdir(exist_ok=True)
    with launch_plan.prepare(
        made.context,
        made.session,
        number,
        policies=policies,
        chosen=AgentChoice(AGENT, agent, "the test"),
        brief="Greet.",
        amount=launch_plan.requested_amount(agent),
        record=lambda _: None,
    ) as plan:
        yield plan


def home(made: World) -> Path:
    return made.session.folder / f"home-{AGENT}"


@pytest.mark.parametrize("name", ["tmp", "npm", "npm/_cacache", "pip", ".codex", ".codex/config.toml", ".codex/rules"])
def test_a_link_in_the_home_is_not_followed(here: World, tmp_path: Path, name: str) -> None:
    with prepared(here, 1):
        pass
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "mine").write_text("mine")
    place = home(here) / name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    place.unlink(missing_ok=True)
    place.symlink_to(outside)
    with prepared(here, 2) as plan:
        assert (home(here) / ".codex/config.toml").is_file()
        assert not (home(here) / ".codex").is_symlink()
        assert outside not in plan.launch.writable
    assert [path.name for path in outside.iterdir()] == ["mine"]
    assert outside.stat().st_mode & 0o777 == 0o755


def test_temporary_files_and_caches_are_of_one_attempt(here: World) -> None:
    with prepared(here, 1) as plan:
        folders = [Path(plan.launch.env[name]) for name in ("TMPDIR", "PIP_CACHE_DIR", "npm_config_cache")]
        assert all(folder.is_relative_to(here.session.attempt(1)) for folder in folders)
        assert (folders[2] / "_cacache/content-v2").is_symlink()
        assert not Path(plan.launch.env["CODEX_HOME"]).is_relative_to(folders[0])
        (folders[0] / "left").mkdir(mode=0o000)
        (folders[0] / "link").symlink_to(here.context.mirror.path)
    assert not folders[0].exists()
    assert (here.context.mirror.path / "HEAD").exists()


def test_the_home_outlives_the_attempt(here: World) -> None:
    with prepared(here, 1):
        (home(here) / "sessions").mkdir()
    with prepared(here, 2):
        assert (home(here) / "sessions").is_dir()


def test_nested_instructions_of_main_are_read_only_and_other_files_are_not(here: World) -> None:
    mirror, folder = here.context.mirror, here.session.worktree
    made = {"apps/hello/AGENTS.md": b"Mine.\n", "docs/deep/.cursorrules": b"Mine.\n", "docs/deep/page.md": b"Mine.\n"}
    author = Author("Jane", "jane@example.com")
    head = mirror.commit(made, parent=here.context.main(), message="Instruct agents\n", author=author)
    git("update-ref", "refs/remotes/origin/main", head, cwd=mirror.path)
    worktree.prepare(mirror, folder, commit=head)
    with prepared(here, 1) as plan:
        frozen = set(plan.launch.frozen)
    assert {folder / "apps/hello/AGENTS.md", folder / "docs/deep/.cursorrules"} <= frozen
    assert folder / "docs/deep/page.md" not in frozen
    (folder / "apps/hello/AGENTS.md").unlink()
    with prepared(here, 2) as plan:
        assert folder / "apps/hello/AGENTS.md" not in plan.launch.frozen
