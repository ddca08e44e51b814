"""Files that the API creates, changes and deletes, and the branches that it creates and deletes."""

import base64
from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab

ON_MAIN = {"branch": "main", "commit_message": "m"}


def refusal(server: LocalGitlab, method: str, path: str, body: dict[str, Any], token: str = "") -> tuple[int, Any]:
    """Return status and message of a refused request."""
    headers = {"PRIVATE-TOKEN": token or server.root_token}
    answer = requests.request(method, f"{server.url}/api/v4{path}", json=body, headers=headers, timeout=30)
    return answer.status_code, answer.json().get("message") or answer.json().get("error")


def test_the_first_file_starts_the_repository(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    made = project.files.create({"file_path": "docs/a.txt", "content": "one\n", **ON_MAIN})
    assert (made.file_path, made.branch) == ("docs/a.txt", "main")
    file = project.files.get("docs/a.txt", ref="main")
    assert file.decode() == b"one\n"
    assert file.last_commit_id == project.branches.get("main").commit["id"]
    assert project.files.head("docs/a.txt", ref="main")["X-Gitlab-File-Path"] == "docs/a.txt"


def test_a_file_is_changed_and_deleted(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    content = base64.b64encode(b"\xff2").decode()
    project.files.update("a", {"content": content, "encoding": "base64", **ON_MAIN})
    assert project.files.raw("a", ref="main") == b"\xff2"
    project.files.delete("a", branch="main", commit_message="gone")
    with pytest.raises(gitlab.GitlabGetError, match="404 File Not Found"):
        project.files.get("a", ref="main")


def test_blame_names_the_last_commit_of_each_range(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "one\ntwo\nthree\n"})
    start = project.branches.get("main").commit["id"]
    project.files.update("a", {"content": "one\n2\nthree\n", **ON_MAIN})
    changed = project.branches.get("main").commit["id"]
    found = project.files.blame("a", ref="main", get_all=True)
    assert [(item["commit"]["id"], item["lines"]) for item in found] == [
        (start, ["one"]),
        (changed, ["2"]),
        (start, ["three"]),
    ]


def test_a_file_can_start_a_branch(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.files.create({"file_path": "b", "content": "2", **ON_MAIN, "branch": "x", "start_branch": "main"})
    assert [item["name"] for item in project.repository_tree(ref="x", get_all=True)] == ["a", "b"]
    assert [item["name"] for item in project.repository_tree(ref="main", get_all=True)] == ["a"]


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "a", {"content": "1"}, "A file with this name already exists"),
        ("POST", "b", {}, "content is missing"),
        ("PUT", "b", {"content": "1"}, "A file with this name doesn't exist"),
        ("DELETE", "b", {}, "A file with this name doesn't exist"),
        ("POST", "b", {"content": "1", "branch": "x"}, "You can only create or edit files when you are on a branch"),
        ("POST", "b", {"content": "1", "start_branch": "y"}, "A branch called 'main' already exists"),
        ("PUT", "a", {"content": "1", "last_commit_id": "0" * 40}, "has changed since you started editing it"),
        ("PUT", "a", {"content": "1", "execute_filemode": True}, "is not supported by the loopback GitLab"),
    ],
)
def test_refused_files(gitlab_server: LocalGitlab, method: str, path: str, body: dict[str, Any], reason: str) -> None:
    project = gitlab_server.project({"a": "1"})
    where = f"/projects/{project.id}/repository/files/{path}"
    status, message = refusal(gitlab_server, method, where, ON_MAIN | body)
    assert (status, reason in message) == (400, True), message
    assert len(project.commits.list(get_all=True)) == 1


@pytest.mark.parametrize("name", ["a..b", "-x", "x.lock", "a b"])
def test_invalid_branch_names(gitlab_server: LocalGitlab, name: str) -> None:
    project = gitlab_server.project({"a": "1"})
    body = {"branch": name, "ref": "main"}
    refused = refusal(gitlab_server, "POST", f"/projects/{project.id}/repository/branches", body)
    assert refused == (400, "Branch name is invalid")


def test_the_first_branch_of_an_empty_repository_starts_at_a_new_default_branch(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    project.branches.create({"branch": "x", "ref": "main"})
    assert [commit.title for commit in project.commits.list(get_all=True, ref_name="x")] == ["Add README.md"]
    assert [branch.name for branch in project.branches.list(get_all=True)] == ["main", "x"]


def test_a_branch_in_the_way_of_another(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.branches.create({"branch": "x", "ref": "main"})
    where = f"/projects/{project.id}/repository/branches"
    assert refusal(gitlab_server, "POST", where, {"branch": "x/y", "ref": "main"})[0] == 400
    assert [branch.name for branch in project.branches.list(get_all=True)] == ["main", "x"]


def test_who_may_merge_may_create_a_protected_branch_from_a_protected_one(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.files.create({"file_path": "b", "content": "1", **ON_MAIN, "branch": "open", "start_branch": "main"})
    project.protectedbranches.create({"name": "main"})
    project.protectedbranches.create({"name": "rel/*", "push_access_level": 0, "merge_access_level": 40})
    user, token = gitlab_server.user("developer")
    project.members.create({"user_id": user.id, "access_level": 30})
    branches = f"/projects/{project.id}/repository/branches"
    body = {"branch": "rel/1", "ref": "main"}
    refused = refusal(gitlab_server, "POST", branches, body, token)
    assert refused == (400, "You are not allowed to create protected branches on this project.")
    status, reason = refusal(gitlab_server, "POST", branches, body | {"ref": "open"})
    assert (status, "existing protected branch ref" in reason) == (400, True)
    assert project.branches.create(body).protected


def test_maintainers_may_delete_protected_branches_but_not_the_default_branch(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    project.branches.create({"branch": "kept", "ref": "main"})
    project.protectedbranches.create({"name": "kept"})
    user, token = gitlab_server.user("developer")
    member = project.members.create({"user_id": user.id, "access_level": 30})
    branches = f"/projects/{project.id}/repository/branches"
    assert refusal(gitlab_server, "DELETE", branches + "/kept", {}, token)[0] == 400
    assert refusal(gitlab_server, "DELETE", branches + "/main", {}) == (
        400,
        "The default branch of a project cannot be deleted.",
    )
    member.access_level = 40
    member.save()
    gitlab_server.client(token).projects.get(project.id).branches.delete("kept")
    assert [branch.name for branch in project.branches.list(get_all=True)] == ["main"]


def test_commits_of_all_branches_and_of_one_file(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    other = {"file_path": "b", "content": "2", **ON_MAIN, "branch": "x", "start_branch": "main"}
    project.files.create(other)
    assert len(project.commits.list(get_all=True)) == 1
    assert len(project.commits.list(get_all=True, all=True)) == 2
    assert len(project.commits.list(get_all=True, query_parameters={"ref_name": "x", "path": "b"})) == 1
    assert project.commits.list(get_all=True, until="2001-01-01T00:00:00Z") == []
