"""The events of pushes: who moved which ref, by git, by API and by merging."""

from pathlib import Path
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab, git, with_token


def events(project: Any, **query: Any) -> list[dict[str, Any]]:
    return [item.attributes for item in project.events.list(get_all=True, **{"action": "pushed", **query})]


def told(project: Any) -> list[tuple[str, str, str | None]]:
    """Return each push's account, action and ref, newest first."""
    return [(item["author_username"], item["action_name"], item["push_data"]["ref"]) for item in events(project)]


@pytest.fixture
def work(gitlab_server: LocalGitlab, tmp_path: Path) -> tuple[Any, Path]:
    project = gitlab_server.project({"a": "1"})
    git("clone", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "w", cwd=tmp_path)
    return project, tmp_path / "w"


def test_a_push_names_who_pushed_what(gitlab_server: LocalGitlab, work: tuple[Any, Path]) -> None:
    project, clone = work
    user, token = gitlab_server.user("dev")
    project.members.create({"user_id": user.id, "access_level": 30})
    for number in range(2):
        git("commit", "-q", "--allow-empty", "-m", f"c{number}\n\nbody", cwd=clone)
    head = git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    git("push", "-q", with_token(project.http_url_to_repo, token), "HEAD:refs/heads/x", cwd=clone)
    found = events(project)[0]
    assert found["push_data"] == {
        "commit_count": 2, "action": "created", "ref_type": "branch", "commit_from": None, "commit_to": head,
        "ref": "x", "commit_title": "c1", "ref_count": None,
    }  # fmt: skip
    assert (found["author"]["id"], found["author_username"], found["action_name"]) == (
        user.id, user.username, "pushed new",
    )  # fmt: skip


def test_commits_branches_tags_and_merges_by_api_are_pushes(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.branches.create({"branch": "x", "ref": "main"})
    project.files.create({"file_path": "b", "branch": "x", "content": "1", "commit_message": "m"})
    project.tags.create({"tag_name": "v1", "ref": "main"})
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
    request.merge(should_remove_source_branch=True)
    found = told(project)
    assert set(found[:2]) == {("root", "deleted", "x"), ("root", "pushed to", "main")}
    assert [(action, ref) for _, action, ref in found[2:]] == [
        ("pushed new", "v1"), ("pushed to", "x"), ("pushed new", "x"), ("pushed new", "main"),
    ]  # fmt: skip


def test_many_refs_at_once_are_one_event_without_them(gitlab_server: LocalGitlab, work: tuple[Any, Path]) -> None:
    project, clone = work
    url = with_token(project.http_url_to_repo, gitlab_server.root_token)
    git("push", "-q", url, *(f"HEAD:refs/heads/x{number}" for number in range(4)), cwd=clone)
    found = events(project)[0]["push_data"]
    assert (found["ref"], found["commit_to"], found["ref_count"], found["ref_type"]) == (None, None, 4, "branch")


def test_a_push_is_its_users_also_if_another_user_makes_the_server_look(
    gitlab_server: LocalGitlab, work: tuple[Any, Path]
) -> None:
    project, clone = work
    user, _ = gitlab_server.user("dev")
    repository = gitlab_server.state / "repositories" / f"{project.id}.git"
    git("commit", "-q", "--allow-empty", "-m", "c", cwd=clone)
    head = git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    git("push", "-q", str(repository), "HEAD:refs/heads/x", cwd=clone)
    # What the hook wrote of a push whose request has not ended.
    (repository / "pushes").mkdir(exist_ok=True)
    (repository / "pushes" / f"{user.id}.1").write_text(f"{head} refs/heads/x\n")
    project.branches.create({"branch": "y", "ref": "main"})
    assert sorted(told(project)[:2]) == [(user.username, "pushed new", "x"), ("root", "pushed new", "y")]


def test_a_refused_push_is_no_event(gitlab_server: LocalGitlab, work: tuple[Any, Path]) -> None:
    project, clone = work
    user, token = gitlab_server.user("dev")
    project.members.create({"user_id": user.id, "access_level": 30})
    project.protectedbranches.create({"name": "main", "push_access_level": 40})
    before = told(project)
    git("commit", "-q", "--allow-empty", "-m", "c", cwd=clone)
    url = with_token(project.http_url_to_repo, token)
    assert git("push", url, "HEAD:refs/heads/main", cwd=clone, check=False).returncode
    assert told(project) == before


def test_days_and_order(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    assert events(project, after="2000-01-01")
    assert not events(project, after="2999-01-01")
    assert not events(project, before="2000-01-01")
    project.branches.create({"branch": "x", "ref": "main"})
    assert [item["push_data"]["ref"] for item in events(project, sort="asc")] == ["main", "x"]


@pytest.mark.parametrize("query", ["action=merged", "action=", "action=odd", "after=soon"])
def test_other_events_are_refused(gitlab_server: LocalGitlab, query: str) -> None:
    project = gitlab_server.project({"a": "1"})
    with pytest.raises(gitlab.GitlabError) as refused:
        events(project, **dict([query.split("=")]))
    assert refused.value.response_code == 400
