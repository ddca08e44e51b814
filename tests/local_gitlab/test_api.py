"""The API through the real python-gitlab client."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_who_am_i(gitlab_server: LocalGitlab) -> None:
    client = gitlab_server.client()
    client.auth()
    assert client.user is not None
    assert client.user.username == "root"
    assert client.version()[0].startswith("19.")


def test_wrong_token_is_401(gitlab_server: LocalGitlab) -> None:
    with pytest.raises(gitlab.GitlabAuthenticationError):
        gitlab_server.client("wrong").auth()


def test_project_by_path_with_an_encoded_slash(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    assert gitlab_server.client().projects.get(project.path_with_namespace).id == project.id


def test_private_project_is_404_for_strangers_and_403_for_low_roles(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    user, token = gitlab_server.user("stranger")
    with pytest.raises(gitlab.GitlabGetError) as refused:
        gitlab_server.client(token).projects.get(project.id)
    assert refused.value.response_code == 404
    project.members.create({"user_id": user.id, "access_level": 30})
    theirs = gitlab_server.client(token).projects.get(project.id)
    with pytest.raises(gitlab.GitlabCreateError) as forbidden:
        theirs.protectedbranches.create({"name": "main"})
    assert forbidden.value.response_code == 403


def test_pages_of_a_long_list(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    for number in range(25):
        project.issues.create({"title": f"issue {number}"})
    assert len(project.issues.list(get_all=True)) == 25
    page = project.issues.list(page=2, per_page=10, get_all=False)
    assert [issue.title for issue in page] == [f"issue {number}" for number in range(14, 4, -1)]
    listing = project.issues.list(iterator=True, per_page=10)
    assert (listing.total, listing.total_pages) == (25, 3)


def test_labels_none_and_any(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    project.issues.create({"title": "labelled", "labels": ["x"]})
    for number in range(3):
        project.issues.create({"title": f"bare {number}"})
    assert [issue.title for issue in project.issues.list(labels=["Any"], get_all=True)] == ["labelled"]
    assert len(project.issues.list(labels=["None"], get_all=True)) == 3


@pytest.mark.parametrize("name", ["a,b", " "])
def test_a_label_name_that_no_list_of_labels_could_hold_is_refused(gitlab_server: LocalGitlab, name: str) -> None:
    project = gitlab_server.project()
    with pytest.raises(gitlab.GitlabCreateError) as refused:
        project.labels.create({"name": name, "color": "#112233"})
    assert refused.value.response_code == 400


def test_the_later_scoped_label_stays_alone(gitlab_server: LocalGitlab) -> None:
    issue = gitlab_server.project().issues.create({"title": "a", "labels": ["type::bug", "x", "type::feature"]})
    assert sorted(issue.labels) == ["type::feature", "x"]


def test_issue_lifecycle(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    issue = project.issues.create({"title": "a", "labels": ["factory::ready", "x"]})
    issue.labels = ["x", "factory::claimed"]
    issue.state_event = "close"
    issue.save()
    again = project.issues.get(issue.iid)
    assert (again.state, again.labels) == ("closed", ["factory::claimed", "x"])
    note = again.notes.create({"body": "hello"})
    note.body = "changed"
    note.save()
    assert again.notes.get(note.id).body == "changed"
    assert project.issues.list(labels=["x"], state="closed", get_all=True)[0].iid == issue.iid


def test_scoped_labels_exclude_each_other_on_premium(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    issue = project.issues.create({"title": "a", "labels": "factory::ready"})
    gitlab_server.client().http_put(
        f"/projects/{project.id}/issues/{issue.iid}", post_data={"add_labels": "factory::claimed"}
    )
    assert project.issues.get(issue.iid).labels == ["factory::claimed"]


def test_parameters_in_the_query_count_like_the_body(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    made: Any = gitlab_server.client().http_post(f"/projects/{project.id}/issues", query_data={"title": "by query"})
    assert made["title"] == "by query"


def test_missing_parameter_and_unknown_route(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    client = gitlab_server.client()
    with pytest.raises(gitlab.GitlabHttpError, match="title is missing") as missing:
        client.http_post(f"/projects/{project.id}/issues")
    assert missing.value.response_code == 400
    with pytest.raises(gitlab.GitlabHttpError) as unknown:
        client.http_get(f"/projects/{project.id}/nothing_here")
    assert unknown.value.response_code == 404


def test_labels_variables_and_members(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    project.labels.create({"name": "factory::ready", "color": "#00ff00"})
    with pytest.raises(gitlab.GitlabCreateError) as twice:
        project.labels.create({"name": "factory::ready", "color": "#00ff00"})
    assert twice.value.response_code == 409
    variable = project.variables.create({"key": "A", "value": "1", "protected": True})
    variable.value = "2"
    variable.save()
    assert project.variables.get("A").value == "2"
    hidden = project.variables.create({"key": "H", "value": "long-secret", "masked_and_hidden": True})
    assert hidden.value is None
    user, _ = gitlab_server.user("member")
    project.members.create({"user_id": user.id, "access_level": 30})
    assert user.id in {member.id for member in project.members.list(get_all=True)}


def test_files_branches_and_compare(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"docs/a.txt": "one\n"})
    project.branches.create({"branch": "feature/x", "ref": "main"})
    actions = [{"action": "update", "file_path": "docs/a.txt", "content": "two\n"}]
    project.commits.create({"branch": "feature/x", "commit_message": "change\n\nIssue: #1", "actions": actions})
    assert project.files.get("docs/a.txt", ref="feature/x").decode() == b"two\n"
    compare = project.repository_compare("main", "feature/x")
    assert [item["new_path"] for item in compare["diffs"]] == ["docs/a.txt"]
    assert compare["commits"][0]["trailers"] == {"Issue": "#1"}
    assert project.branches.get("feature/x").commit["title"] == "change"


def test_protected_branch_levels(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    rule = project.protectedbranches.create(
        {"name": "factory/leases/*", "push_access_level": 40, "merge_access_level": 0}
    )
    assert project.protectedbranches.get("factory/leases/*").push_access_levels[0]["access_level"] == 40
    assert rule.allow_force_push is False


@pytest.mark.parametrize(
    "body",
    [{"title": "\ud800"}, {"title": "a", "description": ["x"]}, {"title": "a\0"}, {"title": "x" * 256}, {"title": ""}],
)
def test_invalid_text_is_400(gitlab_server: LocalGitlab, body: dict[str, Any]) -> None:
    project = gitlab_server.project()
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        gitlab_server.client().http_post(f"/projects/{project.id}/issues", post_data=body)
    assert refused.value.response_code == 400
