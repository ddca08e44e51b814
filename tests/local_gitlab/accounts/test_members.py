"""Members: valid roles, who grants them, and who cannot be removed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def status(call: Callable[[], Any]) -> int:
    with pytest.raises(gitlab.GitlabError) as refused:
        call()
    return int(refused.value.response_code or 0)


def joined(server: LocalGitlab, project: Any, level: int) -> tuple[Any, Any]:
    """Return a new member, and the project as the member sees it."""
    person, token = server.user("person")
    project.members.create({"user_id": person.id, "access_level": level})
    return person, server.client(token).projects.get(project.id)


@pytest.mark.parametrize("level", [5, 10, 15, 20, 30, 40, 50])
def test_a_member_has_one_of_gitlabs_roles(gitlab_server: LocalGitlab, level: int) -> None:
    project = gitlab_server.project()
    person, _ = gitlab_server.user("person")
    made = project.members.create({"user_id": person.id, "access_level": level})
    assert (made.username, made.access_level, made.expires_at) == (person.username, level, None)
    assert project.members_all.get(person.id).access_level == level


def test_invalid_members_are_refused(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    members = project.members
    person, _ = gitlab_server.user("person")
    given = {"user_id": person.id, "access_level": 30}
    for wrong in ({"access_level": 35}, {"access_level": "high"}, {"expires_at": "soon"}, {"expires_at": "2020-01-01"}):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            members.create(given | wrong)
        assert refused.value.response_code == 400
    nobody = {"access_level": 30}
    assert status(lambda: gitlab_server.client().http_post(f"/projects/{project.id}/members", post_data=nobody)) == 400
    assert status(lambda: members.create(given | {"user_id": 99999})) == 404
    members.create(given)
    assert status(lambda: members.create(given)) == 409
    assert status(lambda: members.update(99999, {"access_level": 30})) == 404
    assert status(lambda: members.delete(99999)) == 404


def test_a_member_is_found_by_name_and_leaves(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, token = gitlab_server.user("person")
    project.members.create({"username": person.username, "access_level": 20})
    assert [item.id for item in project.members.list(get_all=True, query=person.username.upper())] == [person.id]
    assert [item.id for item in project.members.list(get_all=True, user_ids=[person.id])] == [person.id]
    theirs = gitlab_server.client(token).projects.get(project.id)
    assert status(lambda: theirs.members.delete(1)) == 403
    theirs.members.delete(person.id)
    assert status(lambda: gitlab_server.client(token).projects.get(project.id)) == 404


def test_a_maintainer_neither_adds_nor_removes_owners(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    owner, _ = joined(gitlab_server, project, 50)
    other, _ = joined(gitlab_server, project, 30)
    maintainer, theirs = joined(gitlab_server, project, 40)
    stranger, _ = gitlab_server.user("stranger")
    assert status(lambda: theirs.members.create({"user_id": stranger.id, "access_level": 50})) == 403
    assert status(lambda: theirs.members.update(maintainer.id, {"access_level": 50})) == 403
    assert status(lambda: theirs.members.update(owner.id, {"access_level": 30})) == 403
    assert status(lambda: theirs.members.delete(owner.id)) == 403
    token = {"name": "bot", "scopes": ["api"], "access_level": 50}
    assert status(lambda: theirs.access_tokens.create(token)) == 400
    theirs.members.update(other.id, {"access_level": 40})
    theirs.members.delete(other.id)


def test_a_developer_cannot_change_members(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, theirs = joined(gitlab_server, project, 30)
    assert status(lambda: theirs.members.update(person.id, {"access_level": 40})) == 403


def test_the_user_of_a_personal_namespace_stays_owner(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    assert status(lambda: project.members.delete(1)) == 403
    assert status(lambda: project.members.update(1, {"access_level": 30})) == 403


def test_a_membership_ends_on_its_expiry_date(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    person, token = gitlab_server.user("person")
    made = project.members.create({"user_id": person.id, "access_level": 30, "expires_at": "2999-12-31"})
    assert made.expires_at == "2999-12-31"
    assert gitlab_server.client(token).projects.get(project.id).id == project.id
    project.members.update(person.id, {"access_level": 30, "expires_at": ""})
    assert project.members.get(person.id).expires_at is None


def test_group_members_inherit_their_role_in_projects_and_subgroups(gitlab_server: LocalGitlab) -> None:
    owner, token = gitlab_server.user("owner")
    person, their_token = gitlab_server.user("person")
    client = gitlab_server.client(token)
    group = client.groups.create({"name": owner.username, "path": f"g-{owner.username}"})
    below = client.groups.create({"name": "below", "path": "below", "parent_id": group.id})
    project = client.projects.create({"name": "tool", "namespace_id": below.id})
    assert project.members.list(get_all=True) == []
    assert [item.id for item in project.members_all.list(get_all=True)] == [owner.id]
    theirs = gitlab_server.client(their_token)
    assert status(lambda: theirs.projects.get(project.id)) == 404
    group.members.create({"user_id": person.id, "access_level": 20})
    assert status(lambda: theirs.projects.get(project.id).branches.create({"branch": "x", "ref": "main"})) == 403
    assert status(lambda: project.members.create({"user_id": person.id, "access_level": 10})) == 400
    project.members.create({"user_id": person.id, "access_level": 30})
    seen = theirs.projects.get(project.id)
    assert seen.permissions == {"project_access": {"access_level": 30}, "group_access": {"access_level": 20}}
    assert project.members_all.get(person.id).access_level == 30
    project.members.delete(person.id)
    assert project.members_all.get(person.id).access_level == 20
    assert status(lambda: project.members.delete(person.id)) == 404
    group.members.delete(person.id)
    assert status(lambda: theirs.projects.get(project.id)) == 404


def test_a_group_keeps_an_owner_and_only_owners_change_members(gitlab_server: LocalGitlab) -> None:
    owner, token = gitlab_server.user("owner")
    person, their_token = gitlab_server.user("person")
    group = gitlab_server.client(token).groups.create({"name": owner.username, "path": f"g-{owner.username}"})
    assert status(lambda: group.members.delete(owner.id)) == 403
    assert status(lambda: group.members.update(owner.id, {"access_level": 30})) == 403
    group.members.create({"user_id": person.id, "access_level": 40})
    theirs = gitlab_server.client(their_token).groups.get(group.id)
    assert status(lambda: theirs.members.update(person.id, {"access_level": 50})) == 403
    stranger = gitlab_server.client(gitlab_server.user("stranger")[1])
    for path in (group.path, owner.username, "nowhere"):
        assert status(partial(stranger.projects.create, {"name": "x", "namespace_path": path})) == 404
    theirs.members.delete(person.id)
    assert status(lambda: gitlab_server.client(their_token).groups.get(group.id)) == 404
