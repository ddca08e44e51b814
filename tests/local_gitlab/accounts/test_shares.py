"""Projects that are shared with groups, and the groups' rights in them."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def group_of(server: LocalGitlab, person: Any, level: int) -> Any:
    """Return a new group with one member besides its owner."""
    group = server.client().groups.create({"name": person.username, "path": f"g-{person.username}"})
    group.members.create({"user_id": person.id, "access_level": level})
    return group


@pytest.mark.parametrize(("level", "access", "expected"), [(40, 30, 30), (20, 40, 20)])
def test_a_share_gives_the_lower_of_two_levels(
    gitlab_server: LocalGitlab, level: int, access: int, expected: int
) -> None:
    project = gitlab_server.project({"a": "1"})
    person, token = gitlab_server.user("person")
    theirs = gitlab_server.client(token)
    group = group_of(gitlab_server, person, level)
    project.share(group.id, access)
    seen = theirs.projects.get(project.id)
    (shared,) = seen.shared_with_groups
    assert (shared["group_full_path"], shared["group_access_level"]) == (group.full_path, access)
    assert project.members_all.get(person.id).access_level == expected
    assert person.id not in [member.id for member in project.members.list(get_all=True)]
    assert [item.id for item in theirs.projects.list(get_all=True, membership=True)] == [project.id]
    project.unshare(group.id)
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        theirs.projects.get(project.id)


def test_a_share_that_cannot_be_is_refused(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, token = gitlab_server.user("person")
    group, path = group_of(gitlab_server, person, 40), f"/projects/{project.id}/share"
    maintainer, their_token = gitlab_server.user("maintainer")
    project.members.create({"user_id": maintainer.id, "access_level": 40})
    project.share(group.id, 30)
    for client, body, code in (
        (gitlab_server.client(), {"group_id": group.id, "group_access": 30}, 409),
        (gitlab_server.client(), {"group_id": 99999, "group_access": 30}, 404),
        (gitlab_server.client(), {"group_id": group.id, "group_access": 7}, 400),
        (gitlab_server.client(their_token), {"group_id": group.id, "group_access": 30}, 404),
        (gitlab_server.client(token), {"group_id": group.id, "group_access": 30}, 403),
    ):
        with pytest.raises(gitlab.GitlabHttpError) as refused:
            client.http_post(path, post_data=body)
        assert refused.value.response_code == code
    with pytest.raises(gitlab.GitlabHttpError, match="404 Group Link Not Found"):
        gitlab_server.client().http_delete(f"{path}/99999")


def test_access_levels_name_groups_that_the_project_is_shared_with(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    (person, token), (other, their_token) = (gitlab_server.user("person") for _ in range(2))
    group, stranger = group_of(gitlab_server, person, 30), group_of(gitlab_server, other, 30)
    project.share(group.id, 30)
    project.members.create({"user_id": other.id, "access_level": 30})
    with pytest.raises(gitlab.GitlabCreateError, match="group does not have access to the project"):
        project.protectedbranches.create({"name": "main", "allowed_to_push": [{"group_id": stranger.id}]})
    rule = project.protectedbranches.create({"name": "main", "allowed_to_push": [{"group_id": group.id}]})
    (level,) = rule.push_access_levels
    assert (level["group_id"], level["access_level"], level["access_level_description"]) == (
        *(group.id, None),
        group.name,
    )
    body = {"branch": "main", "commit_message": "b", "actions": [{"action": "create", "file_path": "b", "content": ""}]}
    with pytest.raises(gitlab.GitlabCreateError):
        gitlab_server.client(their_token).projects.get(project.id).commits.create(body)
    assert gitlab_server.client(token).projects.get(project.id).commits.create(body).id
