"""What a project has of settings that every tier knows: hooks, the job token's scope, templates, its own fields."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def member(server: LocalGitlab, project: Any, level: int) -> Any:
    """Return a project as a new member of it sees it."""
    person, token = server.user("member")
    project.members.create({"user_id": person.id, "access_level": level})
    return server.client(token).projects.get(project.id)


def test_a_hook_keeps_what_it_is_given_and_never_shows_its_token(gitlab_server: LocalGitlab) -> None:
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
