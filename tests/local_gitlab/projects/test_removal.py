"""Deletion of projects, groups and users, and lists without what was deleted."""

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_a_deleted_group_takes_its_subgroups_and_projects_along(gitlab_server: LocalGitlab) -> None:
    owner, token = gitlab_server.user("owner")
    client = gitlab_server.client(token)
    group = client.groups.create({"name": "Gone", "path": f"gone-{owner.username}"})
    below = client.groups.create({"name": "Below", "path": "below", "parent_id": group.id})
    project = client.projects.create({"name": "tool", "namespace_id": below.id})
    other, theirs = gitlab_server.user("developer")
    group.members.create({"user_id": other.id, "access_level": 30})
    with pytest.raises(gitlab.GitlabDeleteError) as refused:
        gitlab_server.client(theirs).groups.delete(group.id)
    assert refused.value.response_code == 403
    group.delete()
    for number in (group.id, below.id):
        with pytest.raises(gitlab.GitlabGetError, match="404 Group Not Found"):
            client.groups.get(number)
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        gitlab_server.client().projects.get(project.id)
    assert client.groups.create({"name": "Gone", "path": group.path}).id != group.id


def test_contributions_of_a_deleted_user_stay_with_the_ghost(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    user, token = gitlab_server.user("author")
    project.members.create({"user_id": user.id, "access_level": 30})
    issue = gitlab_server.client(token).projects.get(project.id).issues.create({"title": "kept"})
    user.delete()
    assert project.issues.get(issue.iid).author["username"] == "ghost"
    assert user.id not in [member.id for member in project.members.list(get_all=True)]
    with pytest.raises(gitlab.GitlabAuthenticationError):
        gitlab_server.client(token).auth()


def test_hard_delete_also_deletes_contributions_and_groups_without_another_owner(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    user, token = gitlab_server.user("author")
    client = gitlab_server.client(token)
    project.members.create({"user_id": user.id, "access_level": 30})
    issue = client.projects.get(project.id).issues.create({"title": "gone"})
    group = client.groups.create({"name": "Mine", "path": f"mine-{user.username}"})
    own = client.projects.create({"name": "own"})
    with pytest.raises(gitlab.GitlabDeleteError) as refused:
        user.delete()
    assert refused.value.response_code == 409
    user.delete(hard_delete=True)
    root = gitlab_server.client()
    for manager, number in (
        (project.issues, issue.iid),
        (root.groups, group.id),
        (root.projects, own.id),
        (root.users, user.id),
    ):
        with pytest.raises(gitlab.GitlabGetError) as missing:
            manager.get(number)
        assert missing.value.response_code == 404


def test_a_deleted_project_leaves_the_allowlists_of_others(gitlab_server: LocalGitlab) -> None:
    project, other = gitlab_server.project(), gitlab_server.project()
    scope = project.job_token_scope.get()
    scope.allowlist.create({"target_project_id": other.id})
    other.delete()
    assert [item.id for item in scope.allowlist.list(get_all=True)] == [project.id]
