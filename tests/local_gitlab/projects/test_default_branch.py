"""Protection of new default branches by the instance's settings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab, git, with_token

SETTING = "default_branch_protection"


@pytest.fixture
def protecting(gitlab_server: LocalGitlab) -> Iterator[Callable[[int], None]]:
    def set_to(value: int) -> None:
        gitlab_server.client().http_put("/application/settings", post_data={SETTING: value})

    yield set_to
    set_to(0)


def rules(project: Any) -> list[tuple[str, int, int]]:
    """Return name, least role for pushes and least role for merges of each rule."""
    return [
        (rule.name, rule.push_access_levels[0]["access_level"], rule.merge_access_levels[0]["access_level"])
        for rule in project.protectedbranches.list(get_all=True)
    ]


def pushed(server: LocalGitlab, folder: Path) -> Any:
    project = server.project()
    git("init", "-q", "-b", "main", cwd=folder)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=folder)
    git("push", "-q", with_token(project.http_url_to_repo, server.root_token), "main", cwd=folder)
    return project


def branched(server: LocalGitlab, _: Path) -> Any:
    project = server.project()
    project.branches.create({"branch": "main-2", "ref": "main"})
    return project


WAYS: dict[str, Callable[[LocalGitlab, Path], Any]] = {
    "README": lambda server, _: server.project(initialize_with_readme=True),
    "commit": lambda server, _: server.project({"a": "1"}),
    "push": pushed,
    "branch": branched,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_new_default_branch_is_protected_once(
    gitlab_server: LocalGitlab, protecting: Callable[[int], None], tmp_path: Path, way: str
) -> None:
    protecting(2)
    project = WAYS[way](gitlab_server, tmp_path)
    assert rules(project) == [("main", 40, 40)]
    project.protectedbranches.delete("main")
    project.branches.create({"branch": "x", "ref": "main"})
    action = {"action": "create", "file_path": "b", "content": "2"}
    project.commits.create({"branch": "main", "commit_message": "b", "actions": [action]})
    git("clone", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "clone", cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "two", cwd=tmp_path / "clone")
    git("push", "-q", cwd=tmp_path / "clone")
    assert rules(project) == []


@pytest.mark.parametrize(("value", "found"), [(0, []), (1, [("main", 30, 30)]), (3, [("main", 40, 30)])])
def test_the_setting_names_the_roles(
    gitlab_server: LocalGitlab, protecting: Callable[[int], None], value: int, found: list[tuple[str, int, int]]
) -> None:
    protecting(value)
    assert rules(gitlab_server.project({"a": "1"})) == found


@pytest.mark.parametrize(("value", "reason"), [(4, "is not supported"), (5, "valid value"), ("high", "is invalid")])
def test_other_values_are_refused(protecting: Callable[[Any], None], value: Any, reason: str) -> None:
    with pytest.raises(gitlab.GitlabHttpError, match=reason):
        protecting(value)
