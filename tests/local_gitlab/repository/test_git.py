"""Git over HTTP with the real git, and the protected-branch hook."""

from pathlib import Path

import gitlab
import pytest

from tests.servers import LocalGitlab, git, with_token


def _clone(server: LocalGitlab, folder: Path, token: str | None = None, *, level: int = 40) -> tuple[Path, object]:
    project = server.project({"a.txt": "1\n"})
    project.protectedbranches.create({"name": "main", "push_access_level": 40, "merge_access_level": 40})
    user, token = server.user("dev")
    project.members.create({"user_id": user.id, "access_level": level})
    git("clone", "-q", with_token(project.http_url_to_repo, token), "work", cwd=folder)
    return folder / "work", project


def _commit(work: Path, text: str) -> None:
    (work / "a.txt").write_text(text)
    git("commit", "-qam", text, cwd=work)


def test_maintainer_pushes_to_a_protected_branch(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    work, _ = _clone(gitlab_server, tmp_path)
    _commit(work, "2")
    assert git("push", "-q", "origin", "main", cwd=work).returncode == 0


def test_developer_is_refused_by_the_hook_but_may_push_a_branch(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    work, _ = _clone(gitlab_server, tmp_path, level=30)
    _commit(work, "2")
    refused = git("push", "origin", "main", cwd=work, check=False)
    assert refused.returncode != 0
    assert "not allowed to push code to protected branches" in refused.stderr
    assert git("push", "-q", "origin", "HEAD:feature/x", cwd=work).returncode == 0


def test_force_push_and_delete_of_a_protected_branch_are_refused(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    work, _ = _clone(gitlab_server, tmp_path)
    git("commit", "-q", "--amend", "-m", "other", cwd=work)
    assert "force push" in git("push", "-f", "origin", "main", cwd=work, check=False).stderr
    assert "delete protected" in git("push", "origin", ":main", cwd=work, check=False).stderr


def test_wrong_password_and_foreign_project(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    project = gitlab_server.project({"a": "1"})
    url = with_token(project.http_url_to_repo, "wrong")
    assert git("clone", "-q", url, "x", cwd=tmp_path, check=False).returncode != 0
    _, token = gitlab_server.user("stranger")
    stranger = git("clone", "-q", with_token(project.http_url_to_repo, token), "y", cwd=tmp_path, check=False)
    assert "not found" in stranger.stderr


def test_a_request_large_enough_for_git_to_compress(gitlab_server: LocalGitlab, tmp_path: Path) -> None:
    work, project = _clone(gitlab_server, tmp_path)
    sha = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    heads = [f"{sha}:refs/heads/branch-{number}" for number in range(60)]
    git("push", "-q", "origin", *heads, cwd=work)
    url = git("remote", "get-url", "origin", cwd=work).stdout.strip()
    git("clone", "-q", url, "again", cwd=tmp_path)
    assert len(git("branch", "-r", cwd=tmp_path / "again").stdout.splitlines()) >= 60
    assert project


@pytest.mark.long
def test_a_rule_protects_matching_names_and_only_the_star_is_a_wildcard(
    gitlab_server: LocalGitlab, tmp_path: Path
) -> None:
    work, _ = _clone(gitlab_server, tmp_path, level=30)
    project = max(gitlab_server.client().projects.list(get_all=True), key=lambda item: item.id)
    for name in ("release-?", "hot[fix]", "kept/*", "a b"):
        project.protectedbranches.create({"name": name, "push_access_level": 40})
    for free in ("release-1", "hotf"):
        git("push", "-q", "origin", f"HEAD:refs/heads/{free}", cwd=work)
    refused = git("push", "origin", "HEAD:refs/heads/kept/deep/one", cwd=work, check=False)
    assert "not allowed to push code to protected branches" in refused.stderr


LIKE_ANOTHER = ["HEAD", "-x", "refs/heads/main", "refs/tags/v1", "0123456789abcdef" * 2 + "01234567", "a" * 64]


@pytest.mark.parametrize("name", LIKE_ANOTHER)
def test_a_branch_that_looks_like_another_ref_is_refused(gitlab_server: LocalGitlab, tmp_path: Path, name: str) -> None:
    project = gitlab_server.project({"a": "x"})
    with pytest.raises(gitlab.GitlabCreateError, match="invalid"):
        project.branches.create({"branch": name, "ref": "main"})
    url = with_token(project.http_url_to_repo, gitlab_server.root_token)
    git("clone", "-q", url, "code", cwd=tmp_path)
    pushed = git("push", "-q", "origin", f"HEAD:refs/heads/{name}", cwd=tmp_path / "code", check=False)
    assert pushed.returncode != 0
    assert [branch.name for branch in project.branches.list(get_all=True)] == ["main"]


@pytest.mark.parametrize("name", ["other/refs/heads/main", "topic/main", "feature/HEAD", "a" * 39, "main2"])
def test_a_branch_that_ends_like_main_is_another(gitlab_server: LocalGitlab, name: str) -> None:
    project = gitlab_server.project({"a": "x"})
    main = project.branches.get("main").commit["id"]
    made = project.commits.create(
        {
            "branch": name,
            "start_branch": "main",
            "commit_message": "b",
            "actions": [{"action": "create", "file_path": "b", "content": "x"}],
        }
    )
    assert project.branches.get(name).commit["id"] == made.id
    assert project.branches.get("main").commit["id"] == main
    assert project.commits.get("main").id == main
