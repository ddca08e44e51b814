"""Tags and their protection, by the API and by git."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.local_gitlab.refs.protected_tags import protection
from factory.local_gitlab.serving.store import Store
from tests.servers import LocalGitlab, git, with_token

NOT_CREATED = "You are not allowed to create this tag as it is protected."


@pytest.fixture
def project(gitlab_server: LocalGitlab) -> Any:
    return gitlab_server.project({"a.txt": "1\n"})


def _member(server: LocalGitlab, project: Any, level: int) -> tuple[Any, str]:
    """Return a new member's view of the project, and their token."""
    user, token = server.user("member")
    project.members.create({"user_id": user.id, "access_level": level})
    return server.client(token).projects.get(project.id), token


def _refusal(status: int, call: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(gitlab.GitlabError) as refused:
        call(*arguments, **more)
    assert refused.value.response_code == status
    return str(refused.value.error_message)


def _clone(project: Any, token: str, folder: Path) -> Path:
    git("clone", "-q", with_token(project.http_url_to_repo, token), "work", cwd=folder)
    return folder / "work"


def _head(project: Any) -> str:
    return str(project.commits.list(get_all=True)[0].id)


def test_a_lightweight_and_an_annotated_tag(project: Any) -> None:
    head = _head(project)
    light = project.tags.create({"tag_name": "v1", "ref": "main"})
    assert (light.name, light.message, light.target, light.created_at) == ("v1", None, head, None)
    assert (light.commit["id"], light.release, light.protected) == (head, None, False)
    noted = project.tags.create({"tag_name": "rel/1.0", "ref": "v1", "message": " One\n\n# two \n"})
    assert (noted.message, noted.commit["id"]) == ("One\n\n# two", head)
    assert noted.target != head
    assert noted.created_at
    assert project.tags.get("rel/1.0").attributes == noted.attributes


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"tag_name": "v1", "ref": "main"}, "Tag v1 already exists"),
        ({"tag_name": "v2", "ref": "nowhere"}, "Target nowhere is invalid"),
        ({"tag_name": "v2", "ref": "a\0b"}, "Target a\0b is invalid"),
        ({"tag_name": "v1/x", "ref": "main"}, "Failed to create a tag: v1/x"),
        ({"tag_name": "main", "ref": "main"}, "You cannot use default branch name to create a tag"),
        ({"tag_name": "a" * 40, "ref": "main"}, "You cannot create a tag with a SHA-1 or SHA-256 tag name."),
        ({"tag_name": "v2"}, "ref is missing"),
        ({"ref": "main"}, "tag_name is missing"),
        *(
            ({"tag_name": name, "ref": "main"}, "Tag name invalid")
            for name in ("-x", "a..b", "a b", "a*", "x.lock", "x/", "a\0", "a\nb", "refs/heads/x", "HEAD")
        ),
    ],
)
def test_an_invalid_tag_is_refused(project: Any, body: dict[str, str], reason: str) -> None:
    project.tags.create({"tag_name": "v1", "ref": "main"})
    path = f"/projects/{project.id}/repository/tags"
    assert _refusal(400, project.manager.gitlab.http_post, path, post_data=body) == reason
    assert [tag.name for tag in project.tags.list(get_all=True)] == ["v1"]


@pytest.mark.parametrize("name", ["nothing", "rel", "v*", "v?", "a\0b"])
def test_a_missing_tag_is_not_found(project: Any, name: str) -> None:
    for made in ("v1", "rel/1"):
        project.tags.create({"tag_name": made, "ref": "main"})
    assert _refusal(404, project.tags.get, name) == "404 Tag Not Found"
    assert _refusal(404, project.tags.delete, name) == "404 Tag Not Found"


def test_a_tag_of_something_other_than_a_commit(gitlab_server: LocalGitlab, project: Any) -> None:
    repository = gitlab_server.context.repository({"id": project.id})
    blob = repository.git("rev-parse", "main:a.txt")
    repository.git("update-ref", "refs/tags/blob", blob)
    assert (project.tags.get("blob").commit, project.tags.get("blob").target) == (None, blob)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["v1.10", "v1.9", "rel"]),
        ({"sort": "asc"}, ["rel", "v1.9", "v1.10"]),
        ({"order_by": "name", "sort": "asc"}, ["rel", "v1.10", "v1.9"]),
        ({"order_by": "version"}, ["v1.10", "v1.9", "rel"]),
        ({"search": "1.1"}, ["v1.10"]),
        ({"search": "^V1"}, ["v1.10", "v1.9"]),
        ({"search": "9$"}, ["v1.9"]),
        ({"search": "^v1$"}, []),
        ({"search": "^rel$"}, ["rel"]),
    ],
)
def test_the_list(gitlab_server: LocalGitlab, project: Any, query: dict[str, str], names: list[str]) -> None:
    repository = gitlab_server.context.repository({"id": project.id})
    for day, name in enumerate(("rel", "v1.9", "v1.10"), 1):
        who = {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@localhost"}
        repository.git("tag", "-m", name, name, "main", env=who | {"GIT_COMMITTER_DATE": f"2024-01-0{day}T00:00:00Z"})
    assert [tag.name for tag in project.tags.list(get_all=True, **query)] == names


def test_git_and_the_api_see_the_same_tags(gitlab_server: LocalGitlab, project: Any, tmp_path: Path) -> None:
    view, token = _member(gitlab_server, project, 30)
    work = _clone(project, token, tmp_path)
    git("tag", "-a", "-m", "Pushed", "pushed", cwd=work)
    git("push", "-q", "origin", "pushed", cwd=work)
    assert view.tags.get("pushed").message == "Pushed"
    view.tags.create({"tag_name": "made", "ref": "main"})
    assert git("ls-remote", "--tags", "origin", "made", cwd=work).stdout.split() == [_head(project), "refs/tags/made"]
    git("push", "-q", "origin", ":pushed", cwd=work)
    view.tags.delete("made")
    assert view.tags.list(get_all=True) == []


def test_a_rule_for_tags(project: Any) -> None:
    rule = project.protectedtags.create({"name": "v*"})
    assert rule.create_access_levels[0]["access_level"] == 40
    assert rule.create_access_levels[0]["access_level_description"] == "Maintainers"
    assert project.protectedtags.get("v*").attributes == rule.attributes
    again = {"name": "v*", "create_access_level": 30}
    assert _refusal(422, project.protectedtags.create, again) == "['Name has already been taken']"
    assert "valid value" in _refusal(400, project.protectedtags.create, {"name": "x", "create_access_level": 7})
    assert "invalid" in _refusal(400, project.protectedtags.create, {"name": "x", "allowed_to_create": ["y"]})
    rule.delete()
    assert project.protectedtags.list(get_all=True) == []
    _refusal(404, project.protectedtags.get, "v*")


def test_only_maintainers_see_and_create_rules(gitlab_server: LocalGitlab, project: Any) -> None:
    view, _ = _member(gitlab_server, project, 30)
    _refusal(403, view.protectedtags.list, get_all=True)
    _refusal(403, view.protectedtags.create, {"name": "v*"})


# The access level of the rule, the access level of the member, and the member's rights.
LEVELS = [(30, 30, "create"), (30, 40, "create, delete"), (40, 30, ""), (40, 40, "create, delete"), (0, 40, "")]


@pytest.mark.parametrize(("needed", "role", "may"), LEVELS)
def test_who_may_create_and_delete(
    gitlab_server: LocalGitlab, project: Any, tmp_path: Path, needed: int, role: int, may: str
) -> None:
    creates, deletes = "create" in may, "delete" in may
    project.tags.create({"tag_name": "v0", "ref": "main"})
    project.protectedtags.create({"name": "v*", "create_access_level": needed})
    view, token = _member(gitlab_server, project, role)
    assert view.tags.get("v0").protected
    work = _clone(project, token, tmp_path)
    git("tag", "v2", cwd=work)
    pushed = git("push", "origin", "v2", cwd=work, check=False)
    if creates:
        assert view.tags.create({"tag_name": "v1", "ref": "main"}).protected
        assert pushed.returncode == 0
    else:
        assert _refusal(400, view.tags.create, {"tag_name": "v1", "ref": "main"}) == NOT_CREATED
        assert NOT_CREATED in pushed.stderr
    if deletes:
        view.tags.delete("v0")
    else:
        assert "403" in _refusal(403, view.tags.delete, "v0")
    left = ["v0"] * (not deletes) + ["v1", "v2"] * creates
    assert sorted(tag.name for tag in project.tags.list(get_all=True)) == left


def test_user_levels_and_a_second_rule_grant_more_access(
    gitlab_server: LocalGitlab, project: Any, tmp_path: Path
) -> None:
    view, token = _member(gitlab_server, project, 30)
    other, _ = _member(gitlab_server, project, 30)
    person = view.members.list(get_all=True)[-2].id
    project.protectedtags.create({"name": "v*", "allowed_to_create": [{"user_id": person}]})
    assert view.tags.create({"tag_name": "v1", "ref": "main"}).protected
    assert _refusal(400, other.tags.create, {"tag_name": "v2", "ref": "main"}) == NOT_CREATED
    project.protectedtags.create({"name": "*-rc", "create_access_level": 30})
    assert other.tags.create({"tag_name": "v2-rc", "ref": "main"}).protected
    work = _clone(project, token, tmp_path)
    git("tag", "v3-rc", cwd=work)
    assert git("push", "-q", "origin", "v3-rc", cwd=work).returncode == 0


def test_a_push_neither_moves_nor_deletes_a_protected_tag(
    gitlab_server: LocalGitlab, project: Any, tmp_path: Path
) -> None:
    _, token = _member(gitlab_server, project, 40)
    _, lower = _member(gitlab_server, project, 30)
    work = _clone(project, token, tmp_path)
    git("tag", "v1", cwd=work)
    git("tag", "free", cwd=work)
    git("push", "-q", "origin", "v1", "free", cwd=work)
    project.protectedtags.create({"name": "v1"})
    git("commit", "-q", "--allow-empty", "-m", "more", cwd=work)
    git("tag", "-f", "v1", cwd=work)
    git("tag", "-f", "free", cwd=work)
    assert "Protected tags cannot be updated." in git("push", "-f", "origin", "v1", cwd=work, check=False).stderr
    assert git("push", "-qf", "origin", "free", cwd=work).returncode == 0
    assert "using the web interface" in git("push", "origin", ":v1", cwd=work, check=False).stderr
    url = with_token(project.http_url_to_repo, lower)
    assert "Only a project maintainer" in git("push", url, ":v1", cwd=work, check=False).stderr
    assert project.tags.get("v1").commit["id"] == _head(project)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("main", "default branch name"), ("a" * 40, "SHA-1 or SHA-256 tag name"), ("0" * 64, "SHA-1 or SHA-256 tag name")],
)
def test_a_push_refuses_invalid_tag_names(project: Any, tmp_path: Path, name: str, reason: str) -> None:
    work = _clone(project, project.manager.gitlab.private_token, tmp_path)
    pushed = git("push", "origin", f"HEAD:refs/tags/{name}", cwd=work, check=False)
    assert reason in pushed.stderr


def test_a_rule_that_matches_no_tag_grants_nothing(gitlab_server: LocalGitlab, project: Any, tmp_path: Path) -> None:
    for name in ("v* 1\nv*", "v?", "[v]1", "v\\*", "v* 1"):
        project.protectedtags.create({"name": name, "create_access_level": 30})
    project.protectedtags.create({"name": "v*", "create_access_level": 40})
    view, token = _member(gitlab_server, project, 30)
    assert _refusal(400, view.tags.create, {"tag_name": "v1", "ref": "main"}) == NOT_CREATED
    work = _clone(project, token, tmp_path)
    git("tag", "v1", cwd=work)
    assert NOT_CREATED in git("push", "origin", "v1", cwd=work, check=False).stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = Store(tmp_path_factory.mktemp("store") / "store.db")
    yield made
    made.close()


NAMES = st.text(alphabet="abv1.-/", min_size=1, max_size=8)


@given(parts=st.lists(NAMES, min_size=1, max_size=4), between=NAMES, other=NAMES)
def test_a_wildcard_matches_any_text(store: Store, parts: list[str], between: str, other: str) -> None:
    rule = store.add("protected_tag", {"name": "*".join(parts)}, project=1, name="x")
    covered = protection(store, {"id": 1}, between.join(parts))
    missed = protection(store, {"id": 1}, f"x{parts[0]}{other}")
    store.delete("protected_tag", rule)
    assert covered == [rule]
    assert missed == []
