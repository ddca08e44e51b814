"""Project features of all tiers: hooks, the job token scope, templates."""

from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab


def member(server: LocalGitlab, project: Any, level: int) -> Any:
    """Return a project as a new member sees it."""
    person, token = server.user("member")
    project.members.create({"user_id": person.id, "access_level": level})
    return server.client(token).projects.get(project.id)


def test_a_hook_stores_its_settings_and_never_shows_its_token(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    url = "https://hooks.example.com/a?b=c"
    made = project.hooks.create({"url": url, "token": "secret", "pipeline_events": True, "push_events": False})
    assert (made.url, made.pipeline_events, made.push_events, made.note_events) == (url, True, False, False)
    assert made.enable_ssl_verification is True
    made.enable_ssl_verification = False
    made.save()
    again = project.hooks.get(made.id)
    assert (again.enable_ssl_verification, again.pipeline_events) == (False, True)
    assert "secret" not in str(again.attributes)
    again.delete()
    assert project.hooks.list(get_all=True) == []


@pytest.mark.parametrize(
    "url", ["", "hooks.example.com", "ftp://example.com", "http://localhost/x", "http://10.0.0.1/", "http://[::1]:80/"]
)
def test_a_hook_that_gitlab_would_not_call_is_refused(gitlab_server: LocalGitlab, url: str) -> None:
    with pytest.raises(gitlab.GitlabCreateError) as refused:
        gitlab_server.project().hooks.create({"url": url})
    assert refused.value.response_code == (422 if url else 400)


def test_only_maintainers_see_hooks(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    with pytest.raises(gitlab.GitlabListError) as refused:
        member(gitlab_server, project, 30).hooks.list(get_all=True)
    assert refused.value.response_code == 403


def test_a_project_is_always_on_its_own_job_token_allowlist(gitlab_server: LocalGitlab) -> None:
    project, other = gitlab_server.project(), gitlab_server.project()
    scope = project.job_token_scope.get()
    assert (scope.inbound_enabled, scope.outbound_enabled) == (True, False)
    made = scope.allowlist.create({"target_project_id": other.id})
    assert (made.source_project_id, made.target_project_id) == (project.id, other.id)
    with pytest.raises(gitlab.GitlabCreateError, match="already in the job token scope"):
        scope.allowlist.create({"target_project_id": other.id})
    assert [item.id for item in scope.allowlist.list(get_all=True)] == [project.id, other.id]
    scope.allowlist.delete(other.id)
    with pytest.raises(gitlab.GitlabDeleteError, match="Source project cannot be removed"):
        scope.allowlist.delete(project.id)
    assert [item.path_with_namespace for item in scope.allowlist.list(get_all=True)] == [project.path_with_namespace]


def test_the_job_token_allowlist_accepts_only_visible_projects(gitlab_server: LocalGitlab) -> None:
    theirs = member(gitlab_server, gitlab_server.project(), 40)
    with pytest.raises(gitlab.GitlabCreateError) as refused:
        theirs.job_token_scope.get().allowlist.create({"target_project_id": gitlab_server.project().id})
    assert refused.value.response_code == 404


def job_token(server: LocalGitlab, project: Any) -> str:
    """Take a job of a project as a runner does; return its token."""
    mine = {"runner_type": "project_type", "project_id": project.id, "run_untagged": True}
    made: Any = server.client().http_post("/user/runners", post_data=mine)
    project.pipelines.create({"ref": "main"})
    url = f"{server.url}/api/v4/jobs/request"
    return str(requests.post(url, json={"token": made["token"]}, timeout=30).json()["token"])


@pytest.mark.long
def test_a_job_reads_another_project_only_if_its_allowlist_permits(free_gitlab: LocalGitlab) -> None:
    project = free_gitlab.project({".gitlab-ci.yml": "look: {script: [ls]}"})
    target = free_gitlab.project({"a": "1"})
    token, scope = job_token(free_gitlab, project), target.job_token_scope.get()

    def look() -> int:
        refs = f"{target.http_url_to_repo}/info/refs?service=git-upload-pack"
        return requests.get(refs, auth=("gitlab-ci-token", token), timeout=30).status_code

    assert look() == 404
    scope.allowlist.create({"target_project_id": project.id})
    assert look() == 200
    scope.allowlist.delete(project.id)
    assert look() == 404
    scope.enabled = False
    scope.save()
    assert target.job_token_scope.get().inbound_enabled is False
    assert look() == 200


def test_templates_are_files_of_the_default_branch(gitlab_server: LocalGitlab) -> None:
    issues, requests_ = ".gitlab/issue_templates", ".gitlab/merge_request_templates"
    files = {f"{issues}/Bug report.md": "What?\n", f"{issues}/a.md": "a", f"{issues}/b.txt": "", f"{issues}/x/c.md": ""}
    project = gitlab_server.project(files | {f"{requests_}/Default.md": "Why?\n"})
    action = {"action": "create", "file_path": f"{issues}/later.md", "content": "x"}
    given = {"branch": "later", "start_branch": "main", "commit_message": "Add", "actions": [action]}
    project.commits.create(given)
    assert [item.name for item in project.issue_templates.list(get_all=True)] == ["Bug report", "a"]
    assert project.issue_templates.get("Bug report").content == "What?\n"
    assert project.merge_request_templates.get("Default").content == "Why?\n"
    for name in ("later", "x/c", "b"):
        with pytest.raises(gitlab.GitlabGetError) as unknown:
            project.issue_templates.get(name)
        assert unknown.value.response_code == 404
    assert gitlab_server.project().issue_templates.list(get_all=True) == []
