"""Filters and order of the lists of users, groups and projects, and changes of groups."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_users_are_searched_and_the_newest_comes_first(gitlab_server: LocalGitlab) -> None:
    first, _ = gitlab_server.user("searched")
    second, _ = gitlab_server.user("searched")
    users = gitlab_server.client().users
    found = [user.id for user in users.list(search="SEARCHED", get_all=True)]
    assert found[:2] == [second.id, first.id]
    ascending = users.list(search="searched-", order_by="username", sort="asc", get_all=True)
    assert [user.username for user in ascending] == sorted(user.username for user in ascending)
    assert [user.id for user in users.list(search="searched@localhost", get_all=True)] == found
    assert users.list(search="searched@", get_all=True) == []
    assert users.list(blocked=True, get_all=True) == []
    assert "root" in {user.username for user in users.list(admins=True, get_all=True)}


def test_projects_are_filtered_and_the_newest_comes_first(gitlab_server: LocalGitlab) -> None:
    person, token = gitlab_server.user("person")
    client = gitlab_server.client(token)
    first = client.projects.create({"name": "Alpha"})
    second = client.projects.create({"name": "beta", "description": "Like ALPHA", "visibility": "public"})
    shared = gitlab_server.project()
    shared.members.create({"user_id": person.id, "access_level": 20})

    def ids(**filters: Any) -> list[int]:
        return [project.id for project in client.projects.list(get_all=True, **filters)]

    assert ids() == [shared.id, second.id, first.id]
    assert ids(search="alpha") == [second.id, first.id]
    assert ids(search=person.username) == []
    assert ids(search=person.username, search_namespaces=True) == [second.id, first.id]
    assert ids(owned=True) == [second.id, first.id]
    assert ids(min_access_level=30) == [second.id, first.id]
    assert ids(visibility="public") == [second.id]
    assert ids(order_by="name", sort="asc", owned=True) == [first.id, second.id]
    (simple,) = client.projects.list(search="beta", simple=True, get_all=True)
    assert "merge_method" not in simple.attributes


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        ("projects", {"order_by": "luck"}),
        ("projects", {"starred": True}),
        ("users", {"sort": "up"}),
        ("users", {"external": True}),
        ("groups", {"order_by": "luck"}),
        ("groups", {"statistics": True}),
    ],
)
def test_filters_that_are_invalid_or_not_supported(
    gitlab_server: LocalGitlab, name: str, filters: dict[str, Any]
) -> None:
    with pytest.raises(gitlab.GitlabListError) as refused:
        getattr(gitlab_server.client(), name).list(get_all=True, **filters)
    assert refused.value.response_code == 400


def test_groups_are_filtered_changed_and_their_members_inherited(gitlab_server: LocalGitlab) -> None:
    owner, token = gitlab_server.user("owner")
    client = gitlab_server.client(token)
    group = client.groups.create({"name": "Top", "path": f"top-{owner.username}"})
    below = client.groups.create({"name": "Below", "path": "below", "parent_id": group.id})
    assert [item.id for item in client.groups.list(owned=True, get_all=True)] == [group.id]
    assert [item.id for item in client.groups.list(skip_groups=[group.id], search="Below", get_all=True)] == [below.id]
    assert [item.id for item in client.groups.list(search=group.path, top_level_only=True, get_all=True)] == [group.id]
    group.description = "changed"
    group.visibility = "internal"
    group.save()
    found = client.groups.get(group.id)
    assert (found.description, found.visibility, found.name) == ("changed", "internal", "Top")
    person, _ = gitlab_server.user("person")
    group.members.create({"user_id": person.id, "access_level": 20})
    assert [item.id for item in below.members_all.list(get_all=True)] == [owner.id, person.id]
    assert below.members_all.get(person.id).access_level == 20
    for body in ({"path": "other"}, {"membership_lock": True}, {}):
        with pytest.raises(gitlab.GitlabHttpError) as refused:
            client.http_put(f"/groups/{group.id}", post_data=body)
        assert refused.value.response_code == 400
