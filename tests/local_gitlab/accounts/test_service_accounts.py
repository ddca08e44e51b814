"""Service accounts of groups by python-gitlab: who makes them, what they may, and how their tokens end."""

from datetime import timedelta
from typing import Any

import pytest

from factory.system import clock
from tests.local_gitlab.accounts.test_members import status
from tests.servers import LocalGitlab


@pytest.fixture
def crew(gitlab_server: LocalGitlab) -> Any:
    """Return a top-level group as its owner sees it."""
    owner, token = gitlab_server.user("owner")
    return gitlab_server.client(token).groups.create({"name": "Crew", "path": f"served-{owner.username}"})


def test_an_owner_makes_one_that_works_with_its_token(gitlab_server: LocalGitlab, crew: Any) -> None:
    account = crew.service_accounts.create({"name": "Bot", "username": f"{crew.path}-bot"})
    assert [item.username for item in crew.service_accounts.list(get_all=True)] == [f"{crew.path}-bot"]
    expires = (clock.now() + timedelta(days=30)).date().isoformat()
    made = account.access_tokens.create({"name": "t", "scopes": ["api"], "expires_at": expires})
    client = gitlab_server.client(made.token)
    client.auth()
    assert client.user is not None
    assert (client.user.username, made.expires_at, made.scopes) == (f"{crew.path}-bot", expires, ["api"])
    project = crew.manager.gitlab.projects.create({"name": "app", "namespace_id": crew.id})
    assert status(lambda: client.projects.get(project.id)) == 404
    project.members.create({"user_id": account.id, "access_level": 30})
    assert client.projects.get(project.id).name == "app"
    assert not any(hasattr(item, "token") for item in account.access_tokens.list(get_all=True))
    account.access_tokens.delete(made.id)
    assert status(client.auth) == 401


def test_a_deleted_account_is_gone_with_its_tokens(gitlab_server: LocalGitlab, crew: Any) -> None:
    account = crew.service_accounts.create({})
    assert account.username.startswith(f"service_account_group_{crew.id}_")
    token = account.access_tokens.create({"name": "t", "scopes": ["api"]}).token
    account.delete()
    assert status(gitlab_server.client(token).auth) == 401
    assert crew.service_accounts.list(get_all=True) == []


def test_only_owners_of_a_top_level_group_and_free_names(gitlab_server: LocalGitlab, crew: Any) -> None:
    person, token = gitlab_server.user("member")
    crew.members.create({"user_id": person.id, "access_level": 40})
    client = gitlab_server.client(token)
    assert status(client.groups.get(crew.id).service_accounts.list) == 403
    assert status(lambda: client.groups.get(crew.id).service_accounts.create({})) == 403
    _, other = gitlab_server.user("stranger")
    group = gitlab_server.client(other).groups.get(crew.id, lazy=True)
    assert status(lambda: group.service_accounts.create({})) == 404
    assert status(lambda: client.groups.get(person.username).service_accounts.create({})) == 404
    for name in (person.username, crew.path, "a b"):
        assert status(lambda taken=name: crew.service_accounts.create({"username": taken})) == 400  # type: ignore[misc]
    account = crew.service_accounts.create({})
    for wrong in ({"scopes": ["everything"]}, {"scopes": ["api"], "expires_at": "2020-01-01"}):
        assert status(lambda more=wrong: account.access_tokens.create({"name": "t", **more})) == 400  # type: ignore[misc]
