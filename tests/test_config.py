"""Which clone a command runs in, and whose instances a linked worktree has."""

from pathlib import Path

import pytest

from factory.config import find_clone, load, owner_of
from factory.errors import OutsideRepository
from factory.operations.collect import checkout
from factory.system import process
from tests.servers import TOOL_ENV, git


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies/scope.yml").write_text("")
    git("init", "-q", "-b", "main", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "start", cwd=folder)
    git("switch", "-q", "-c", "work", cwd=folder)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", "policies", cwd=folder)
    return folder


def test_a_clone_is_found_on_every_branch_once_it_is_connected(clone: Path) -> None:
    (clone / "deep/er").mkdir(parents=True)
    assert find_clone(clone / "deep/er") == clone
    git("switch", "-q", "main", cwd=clone)
    with pytest.raises(OutsideRepository):
        find_clone(clone)
    git("config", "factory.default.remote", "origin", cwd=clone)
    assert find_clone(clone / "deep") == clone
    with pytest.raises(OutsideRepository):
        find_clone(clone.parent)


def test_a_linked_worktree_has_the_instances_of_its_clone(clone: Path) -> None:
    tree = clone.parent / "tree"
    git("worktree", "add", "-q", "-b", "mine", str(tree), cwd=clone)
    assert owner_of(tree) == owner_of(clone) == clone
    env = {"HOME": str(clone.parent)}
    here, there = (load(env, cwd=folder, flags={}) for folder in (clone, tree))
    assert (there.clone, there.owner, there.state) == (tree, clone, here.state)
    (clone.parent / "other").mkdir()
    (clone.parent / "other/.git").write_text("gitdir: /nonexistent\n")
    assert owner_of(clone.parent / "other") == clone.parent / "other"


def test_a_change_is_compared_with_the_projects_own_main(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = (git("rev-parse", name, cwd=clone).stdout.strip() for name in ("main", "work"))
    git("update-ref", "refs/remotes/origin/main", first, cwd=clone)
    git("update-ref", "refs/remotes/factory/main", last, cwd=clone)
    monkeypatch.chdir(clone)
    given = {"PATH": TOOL_ENV["PATH"], "HOME": "/nonexistent"}
    assert checkout.checkout(given, None).base == first
    git("config", "factory.default.remote", "factory", cwd=clone)
    assert checkout.checkout(given, None).base == last
    process.run(["git", "branch", "-q", "-m", "main", "master"], cwd=clone, env=TOOL_ENV)
    for name in ("origin", "factory"):
        git("update-ref", "-d", f"refs/remotes/{name}/main", cwd=clone)
    assert checkout.checkout(given, None).base == first, "the default branch has another name"
