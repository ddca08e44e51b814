"""Merging at once, with and without squash, and what is refused."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def change(project: Any, *, commits: int = 2, **fields: Any) -> Any:
    """Open a merge request with some commits."""
    for number in range(commits):
        start = {} if number else {"start_branch": "main"}
        body = {"file_path": f"f{number}", "branch": "x", "content": "1", "commit_message": f"c{number}", **start}
        project.files.create(body)
    return project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "All", **fields})


def titles(project: Any) -> list[str]:
    return [commit.title for commit in project.commits.list(get_all=True)]


@pytest.mark.parametrize("settings", [{}, {"squash_option": "always"}])
def test_squash_merges_one_commit_with_the_title(gitlab_server: LocalGitlab, settings: dict[str, Any]) -> None:
    project = gitlab_server.project({"a": "1"}, **settings)
    request = change(project, squash=not settings)
    merged = request.merge()
    assert merged["squash_commit_sha"] == project.branches.get("main").commit["id"]
    assert titles(project) == ["All", "start"]
    assert [item["name"] for item in project.repository_tree(get_all=True)] == ["a", "f0", "f1"]


def test_one_commit_is_not_squashed_again(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    request = change(project, commits=1)
    assert request.merge(squash=True)["squash_commit_sha"] is None
    assert titles(project) == ["c0", "start"]


def test_without_squash_all_commits_are_merged(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"}, squash_option="never")
    request = change(project, squash=True)
    with pytest.raises(gitlab.GitlabMRClosedError) as refused:
        request.merge(squash=True)
    assert refused.value.response_code == 422
    request.merge()
    assert titles(project) == ["c1", "c0", "start"]


@pytest.mark.parametrize("body", [{"state_event": "luck"}, {"target_branch": "y"}, {"reviewer_ids": [1]}])
def test_refused_changes_of_a_merge_request(gitlab_server: LocalGitlab, body: dict[str, Any]) -> None:
    project = gitlab_server.project({"a": "1"})
    request = change(project)
    with pytest.raises(gitlab.GitlabUpdateError) as refused:
        project.mergerequests.update(request.iid, body)
    assert refused.value.response_code == 400


def moved(project: Any) -> None:
    """Let the target branch move on after the merge request was opened."""
    project.files.create({"file_path": "b", "branch": "main", "content": "1", "commit_message": "meanwhile"})


@pytest.mark.parametrize("squash", [False, True])
def test_a_merge_commit_has_the_target_and_the_source_as_parents(gitlab_server: LocalGitlab, *, squash: bool) -> None:
    project = gitlab_server.project({"a": "1"}, merge_method="merge")
    request = change(project)
    moved(project)
    before = project.branches.get("main").commit["id"]
    merged = request.merge(squash=squash)
    commit = project.commits.get("main")
    assert merged["merge_commit_sha"] == commit.id
    assert commit.parent_ids == [before, merged["squash_commit_sha"] or request.sha]
    reference = f"{project.path_with_namespace}!{request.iid}"
    assert commit.message == f"Merge branch 'x' into 'main'\n\nAll\n\nSee merge request {reference}"
    assert [item["name"] for item in project.repository_tree(get_all=True)] == ["a", "b", "f0", "f1"]


@pytest.mark.parametrize("method", ["ff", "rebase_merge"])
def test_a_branch_behind_its_target_needs_a_rebase(gitlab_server: LocalGitlab, method: str) -> None:
    project = gitlab_server.project({"a": "1"}, merge_method=method)
    request = change(project)
    moved(project)
    assert project.mergerequests.get(request.iid).detailed_merge_status == "need_rebase"
    with pytest.raises(gitlab.GitlabMRClosedError) as refused:
        request.merge()
    assert refused.value.response_code == 405


def test_a_semi_linear_history_has_a_merge_commit(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"}, merge_method="rebase_merge")
    request = change(project)
    request.merge(merge_commit_message="done")
    assert titles(project)[0] == "done"
    assert sorted(titles(project)[1:]) == ["c0", "c1", "start"]
    assert project.commits.get("main").parent_ids[1] == request.sha


def test_branches_that_conflict_are_not_merged(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"}, merge_method="merge")
    request = change(project)
    project.files.create({"file_path": "f0", "branch": "main", "content": "2", "commit_message": "meanwhile"})
    shown = project.mergerequests.get(request.iid)
    assert (shown.detailed_merge_status, shown.has_conflicts) == ("conflict", True)
    with pytest.raises(gitlab.GitlabMRClosedError):
        request.merge()
