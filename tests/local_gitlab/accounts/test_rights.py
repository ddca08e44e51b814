"""What a developer's token may not do, as in GitLab: main's pipeline, protected environments, pushes without scope."""

import subprocess
import time
from pathlib import Path
from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab, git, with_token

CI = "job:\n  script: ['true']\n"


def developed(server: LocalGitlab) -> tuple[Any, Any, Any]:
    """Return a project with a protected main, as root and as a developer sees it, and the developer."""
    project = server.project({".gitlab-ci.yml": CI})
    user, token = server.user("developer")
    project.members.create({"user_id": user.id, "access_level": 30})
    project.protectedbranches.create({"name": "main", "push_access_level": 40, "merge_access_level": 40})
    return project, server.client(token).projects.get(project.id), user


def test_a_status_of_a_protected_branch_is_for_those_who_may_change_it(gitlab_server: LocalGitlab) -> None:
    project, theirs, _ = developed(gitlab_server)
    head = project.branches.get("main").commit["id"]
    (pipeline,) = project.pipelines.list(ref="main", get_all=True)
    status = {"state": "failed", "name": "factory/approval", "pipeline_id": pipeline.id}
    for given in (status, {"state": "failed", "name": "x"}):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            theirs.commits.get(head).statuses.create(given)
        assert refused.value.response_code == 403
    assert project.commits.get(head).statuses.create(status).status == "failed"


def test_a_status_of_ones_own_branch(gitlab_server: LocalGitlab) -> None:
    project, theirs, _ = developed(gitlab_server)
    change = [{"action": "create", "file_path": "a", "content": "x"}]
    made = theirs.commits.create({"branch": "topic", "start_branch": "main", "commit_message": "a", "actions": change})
    assert theirs.commits.get(made.id).statuses.create({"state": "pending", "name": "x"}).status == "pending"
    assert project.commits.get(made.id).statuses.list(get_all=True)


def test_a_protected_environment_is_stopped_by_those_who_may_deploy(gitlab_server: LocalGitlab) -> None:
    project, theirs, _ = developed(gitlab_server)
    environment = project.environments.create({"name": "production"})
    levels = [{"access_level": 40}]
    project.protected_environments.create({"name": "production", "deploy_access_levels": levels})
    with pytest.raises(gitlab.GitlabStopError) as refused:
        theirs.environments.get(environment.id).stop()
    assert refused.value.response_code == 403
    assert project.environments.get(environment.id).state == "available"
    project.environments.get(environment.id).stop()
    assert project.environments.get(environment.id).state == "stopped"


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [
        (["read_repository"], True, False),
        (["write_repository"], True, True),
        (["api"], True, True),
        (["read_api"], False, False),
    ],
)
def test_git_over_http_needs_a_scope(
    gitlab_server: LocalGitlab,
    tmp_path: Path,
    scopes: list[str],
    *,
    reads: bool,
    writes: bool,
) -> None:
    project, _, user = developed(gitlab_server)
    given = gitlab_server.client().users.get(user.id).personal_access_tokens.create({"name": "t", "scopes": scopes})
    url = with_token(project.http_url_to_repo, given.token)
    head = project.branches.get("main").commit["id"]
    git("clone", "-q", with_token(project.http_url_to_repo, gitlab_server.root_token), "clone", cwd=tmp_path)

    def done(*arguments: str) -> bool:
        try:
            git(*arguments, cwd=tmp_path / "clone")
        except subprocess.CalledProcessError:
            return False
        return True

    assert done("ls-remote", url) is reads
    assert done("push", "-q", url, f"{head}:refs/heads/topic") is writes


def test_who_has_no_token_makes_the_server_parse_nothing(gitlab_server: LocalGitlab) -> None:
    form = b"&".join(b"a%d=x" % number for number in range(2_000_000))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    start = time.monotonic()
    for path, status in (("/projects", 401), ("/jobs/request", 413), ("/jobs/1", 413), ("/projects/1/issues", 401)):
        method = "PUT" if path == "/jobs/1" else "POST"
        answer = requests.request(method, f"{gitlab_server.url}/api/v4{path}", data=form, headers=kind, timeout=60)
        assert answer.status_code == status, path
    assert time.monotonic() - start < 10
    given = {"PRIVATE-TOKEN": gitlab_server.root_token}
    assert (
        requests.post(f"{gitlab_server.url}/api/v4/projects", data=form, headers=kind | given, timeout=60).status_code
        == 413
    )


@pytest.mark.parametrize("wrong", [{"scopes": ["bogus"]}, {"expires_at": "bogus"}, {"expires_at": "2020-01-01"}])
def test_a_token_that_gitlab_refuses_is_never_made(gitlab_server: LocalGitlab, wrong: dict[str, Any]) -> None:
    user, _ = gitlab_server.user("tokens")
    project = gitlab_server.project()
    asked = {"name": "t", "scopes": ["api"], **wrong}
    for make in (user.personal_access_tokens.create, project.access_tokens.create):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            make(asked)
        assert refused.value.response_code == 400
    with pytest.raises(gitlab.GitlabCreateError, match="access_level"):
        project.access_tokens.create({"name": "t", "scopes": ["api"], "access_level": 35})
