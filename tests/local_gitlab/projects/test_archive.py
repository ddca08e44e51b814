"""Archived projects."""

from pathlib import Path

import gitlab
import pytest

from tests.servers import LocalGitlab, git, with_token


def test_the_content_of_an_archived_project_is_read_only(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    project = gitlab_server.project({"a": "1"})
    git("clone", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "clone", cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "more", cwd=tmp_path / "clone")
    project.archive()
    for manager, body in (
        (project.issues, {"title": "x"}),
        (project.branches, {"branch": "x", "ref": "main"}),
        (project.labels, {"name": "x", "color": "#112233"}),
        (project.pipelines, {"ref": "main"}),
    ):
        with pytest.raises(gitlab.GitlabCreateError) as error:
            manager.create(body)
        assert error.value.response_code == 403
    with pytest.raises(gitlab.GitlabCreateError, match="403 Forbidden - You are not allowed to push into this branch"):
        project.files.create({"file_path": "x", "branch": "main", "content": "", "commit_message": "x"})
    assert git("push", "-q", cwd=tmp_path / "clone", check=False).returncode != 0
    assert project.issues.list(get_all=True) == []
    assert project.variables.create({"key": "A", "value": "1"}).key == "A"
    project.unarchive()
    assert project.issues.create({"title": "x"}).iid == 1
    git("push", "-q", cwd=tmp_path / "clone")


def test_a_list_has_archived_projects_or_not(gitlab_server: LocalGitlab) -> None:
    project, client = gitlab_server.project(), gitlab_server.client()
    project.archive()
    found = [
        project.id in [item.id for item in client.projects.list(get_all=True, **filters)]
        for filters in ({}, {"archived": True}, {"archived": False})
    ]
    assert found == [True, True, False]
    assert client.projects.get(project.id).archived is True


def test_only_an_owner_archives(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, token = gitlab_server.user("maintainer")
    project.members.create({"user_id": person.id, "access_level": 40})
    with pytest.raises(gitlab.GitlabCreateError) as refused:
        gitlab_server.client(token).projects.get(project.id).archive()
    assert refused.value.response_code == 403
