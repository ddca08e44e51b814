"""Push rules (Premium): one per project, enforced for pushes of real git and for commits of the API."""

from pathlib import Path
from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab, git, with_token


@pytest.fixture
def work(gitlab_server: LocalGitlab, tmp_path: Path) -> tuple[Any, Path]:
    """Return a project and a clone of it."""
    project = gitlab_server.project({"a.txt": "1\n"})
    url = with_token(project.http_url_to_repo, gitlab_server.root_token)
    git("clone", "-q", url, "work", cwd=tmp_path)
    return project, tmp_path / "work"


def commit(folder: Path, name: str = "b.txt", *, message: str = "Add it", text: str = "x") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    git("add", "-f", name, cwd=folder)
    git("commit", "-q", "-m", message, cwd=folder)


def refusal(folder: Path, *refs: str) -> str:
    """Push and return the server's refusal; empty if the server accepts the push."""
    done = git("push", "-q", "origin", *refs, cwd=folder, check=False)
    return "" if done.returncode == 0 else done.stderr


def test_a_project_has_one_push_rule_or_null(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    url = f"{gitlab_server.url}/api/v4/projects/{project.id}/push_rule"
    answer = requests.get(url, headers={"PRIVATE-TOKEN": gitlab_server.root_token}, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"null")
    with pytest.raises(gitlab.GitlabHttpError, match="404 Push Rule Not Found"):
        gitlab_server.client().http_put(f"/projects/{project.id}/push_rule", post_data={"max_file_size": 1})
    project.pushrules.create({"commit_message_regex": "^[A-Z]", "prevent_secrets": True})
    with pytest.raises(gitlab.GitlabCreateError, match="Project push rule exists") as twice:
        project.pushrules.create({"max_file_size": 5})
    assert twice.value.response_code == 422
    rule = project.pushrules.get()
    assert (rule.commit_message_regex, rule.prevent_secrets, rule.member_check, rule.max_file_size) == (
        "^[A-Z]",
        True,
        False,
        0,
    )
    rule.max_file_size = 5
    rule.save()
    assert project.pushrules.get().max_file_size == 5
    rule.delete()
    assert requests.get(url, headers={"PRIVATE-TOKEN": gitlab_server.root_token}, timeout=30).json() is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "at least one parameter must be provided"),
        ({"commit_message_regex": "("}, "not valid RE2 syntax"),
        ({"commit_message_regex": "(?!fixup)"}, "not valid RE2 syntax"),
        ({"branch_name_regex": r"(a)\1"}, "not valid RE2 syntax"),
        ({"max_file_size": -1}, "must be greater than or equal to 0"),
        ({"max_file_size": "big"}, "max_file_size is invalid"),
    ],
)
def test_an_invalid_push_rule_is_refused(gitlab_server: LocalGitlab, body: dict[str, Any], reason: str) -> None:
    with pytest.raises(gitlab.GitlabCreateError, match=reason) as refused:
        gitlab_server.project().pushrules.create(body)
    assert refused.value.response_code == 400


def test_free_has_no_push_rules(free_gitlab: LocalGitlab) -> None:
    path = f"/projects/{free_gitlab.project().id}/push_rule"
    client = free_gitlab.client()
    for send in (client.http_get, client.http_post, client.http_put, client.http_delete):
        with pytest.raises(gitlab.GitlabHttpError) as refused:
            send(path)
        assert refused.value.response_code == 404


@pytest.mark.parametrize(
    ("rule", "change", "reason"),
    [
        ({"commit_message_regex": "^Issue: #[0-9]+$"}, {}, "message does not follow the pattern '^Issue: #[0-9]+$'"),
        ({"commit_message_negative_regex": "(?i)wip"}, {"message": "WIP"}, "contains the forbidden pattern '(?i)wip'"),
        ({"author_email_regex": "@example.com$"}, {}, "email 'test@localhost' does not follow the pattern"),
        ({"file_name_regex": r"\.exe$"}, {"name": "bin/a.exe"}, "File name bin/a.exe was prohibited"),
        ({"prevent_secrets": True}, {"name": ".ssh/id_rsa", "text": ""}, "File name .ssh/id_rsa was prohibited"),
        ({"max_file_size": 1}, {"name": "big", "text": "x" * 2**20 + "x"}, "larger than the allowed size of 1 MiB"),
    ],
)
def test_a_commit_that_violates_the_rule_is_refused(
    work: tuple[Any, Path], rule: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    project, folder = work
    project.pushrules.create(rule)
    commit(folder, **change)
    commit(folder, "c.txt", message="Add more\n\nIssue: #1")
    assert reason in refusal(folder, "main")
    assert reason in refusal(folder, "HEAD:refs/tags/v1")
    project.pushrules.get().delete()
    assert refusal(folder, "main") == ""


def test_valid_commits_are_accepted_and_old_commits_are_not_checked(work: tuple[Any, Path]) -> None:
    project, folder = work
    given = {"commit_message_regex": "^Issue: #[0-9]+$", "author_email_regex": "@localhost$", "prevent_secrets": True}
    project.pushrules.create(given | {"max_file_size": 1, "branch_name_regex": "^feature/[a-z]+$"})
    commit(folder, message="Add it\n\nIssue: #1", text="x" * 2**20)
    assert refusal(folder, "main", "HEAD:feature/x", "HEAD:refs/tags/v1") == ""


def test_a_branch_name_must_match_the_rule_except_the_default_branch(work: tuple[Any, Path]) -> None:
    project, folder = work
    project.pushrules.create({"branch_name_regex": "^feature/"})
    commit(folder)
    assert "Branch name does not follow the pattern '^feature/'" in refusal(folder, "HEAD:fix/x")
    assert refusal(folder, "main", "HEAD:feature/x") == ""
    with pytest.raises(gitlab.GitlabCreateError, match="Branch name does not follow"):
        project.branches.create({"branch": "fix/x", "ref": "main"})


def test_the_rule_can_deny_deleting_tags(work: tuple[Any, Path]) -> None:
    project, folder = work
    assert refusal(folder, "HEAD:refs/tags/v1") == ""
    project.pushrules.create({"deny_delete_tag": True})
    assert "You cannot delete a tag" in refusal(folder, ":refs/tags/v1")
    assert refusal(folder, "HEAD:feature/x") == refusal(folder, ":feature/x") == ""


def test_commits_of_the_api_are_checked_too(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a.txt": "1\n"})
    project.pushrules.create({"commit_message_regex": "^[A-Z]", "prevent_secrets": True})

    def add(name: str, message: str) -> Any:
        action = {"action": "create", "file_path": name, "content": "x"}
        return project.commits.create({"branch": "main", "commit_message": message, "actions": [action]})

    for name, message in (("b.txt", "add it"), ("live.pem", "Add it")):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            add(name, message)
        assert refused.value.response_code == 400
    assert add("b.txt", "Add it").title == "Add it"
