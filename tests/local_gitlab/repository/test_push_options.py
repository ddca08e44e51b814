"""Push options: which pipelines a push makes, and the merge requests that it opens or changes."""

from pathlib import Path
from typing import Any

import pytest

from tests.servers import LocalGitlab, git, with_token

CI = "workflow: {rules: [{when: always}]}\njob: {script: [exit 0]}\n"


@pytest.fixture
def work(gitlab_server: LocalGitlab, tmp_path: Path) -> tuple[Any, Path]:
    project = gitlab_server.project({".gitlab-ci.yml": CI})
    git("clone", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "w", cwd=tmp_path)
    return project, tmp_path / "w"


def push(clone: Path, branch: str, *options: str) -> Any:
    """Commit something and push it to a branch with options."""
    git("commit", "-q", "--allow-empty", "-m", f"Change {branch}", cwd=clone)
    given = [word for option in options for word in ("-o", option)]
    return git("push", *given, "origin", f"HEAD:refs/heads/{branch}", cwd=clone, check=False)


@pytest.mark.parametrize("option", ["ci.skip", "ci.no_pipeline"])
def test_a_push_without_a_pipeline(work: tuple[Any, Path], option: str) -> None:
    project, clone = work
    assert push(clone, "loud").returncode == 0
    assert push(clone, "quiet", option).returncode == 0
    assert [item.ref for item in project.pipelines.list(get_all=True) if item.ref != "main"] == ["loud"]


def test_a_merge_request_is_opened_and_then_changed(work: tuple[Any, Path]) -> None:
    project, clone = work
    assert push(clone, "x", "merge_request.create").returncode == 0
    (made,) = project.mergerequests.list(get_all=True)
    assert (made.title, made.source_branch, made.target_branch, made.state) == ("Change x", "x", "main", "opened")
    options = ("title=Another", "description=Why", "label=a", "label=b", "remove_source_branch")
    assert push(clone, "x", "merge_request.create", *(f"merge_request.{item}" for item in options)).returncode == 0
    (now,) = project.mergerequests.list(get_all=True)
    assert (now.iid, now.title, now.description, sorted(now.labels)) == (made.iid, "Another", "Why", ["a", "b"])
    assert now.force_remove_source_branch
    assert now.sha != made.sha


def test_a_draft_for_another_branch(work: tuple[Any, Path]) -> None:
    project, clone = work
    project.branches.create({"branch": "old", "ref": "main"})
    push(clone, "x", "merge_request.create", "merge_request.target=old", "merge_request.draft")
    (made,) = project.mergerequests.list(get_all=True)
    assert (made.target_branch, made.title, made.draft) == ("old", "Draft: Change x", True)


def test_without_create_nothing_is_opened(work: tuple[Any, Path]) -> None:
    project, clone = work
    assert push(clone, "x", "merge_request.title=t").returncode == 0
    assert not project.mergerequests.list(get_all=True)


@pytest.mark.parametrize("option", ["ci.variable=A=b", "merge_request.merge_when_pipeline_succeeds", "odd", "x; true"])
def test_other_options_are_refused(work: tuple[Any, Path], option: str) -> None:
    project, clone = work
    done = push(clone, "x", option)
    assert done.returncode != 0
    assert f"The push option '{option}' is not supported by the loopback GitLab." in done.stderr
    assert [item.name for item in project.branches.list(get_all=True)] == ["main"]
