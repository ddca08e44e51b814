"""Releases through the product's door, against the real server."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factory.errors import Conflict, InvalidInput, NotFound, Refused
from factory.gitlab import releases
from factory.gitlab.connect import Connection, connect
from tests.servers import LocalGitlab


@pytest.fixture
def project(gitlab_server: LocalGitlab) -> Any:
    return gitlab_server.project({"a.txt": "1\n"})


@pytest.fixture
def connection(gitlab_server: LocalGitlab, project: Any) -> Connection:
    """Return a developer's connection."""
    user, token = gitlab_server.user("developer")
    project.members.create({"user_id": user.id, "access_level": 30})
    return connect(gitlab_server.url, project.path_with_namespace, account=user.username, token=token)


def _commit(project: Any, path: str) -> str:
    action = {"action": "create", "file_path": path, "content": "x"}
    return str(project.commits.create({"branch": "main", "commit_message": path, "actions": [action]}).id)


@pytest.mark.parametrize("tag", ["v1.0.0", "web/2024.1", "a+b%2F"])
def test_a_release_is_made_once(connection: Connection, project: Any, tag: str) -> None:
    sha = _commit(project, "b")
    made = releases.make(connection, tag, sha=sha, name="One", description="# Notes")
    assert (made.tag, made.name, made.commit, made.description) == (tag, "One", sha, "# Notes")
    _commit(project, "c")
    assert releases.make(connection, tag, sha=sha, name="Two", description="") == made
    assert releases.get(connection, tag) == made
    assert releases.find(connection) == [made]
    assert project.tags.get(tag).commit["id"] == sha


def test_a_release_of_another_commit_is_a_conflict(connection: Connection, project: Any) -> None:
    first, second = _commit(project, "b"), _commit(project, "c")
    made = releases.make(connection, "v1", sha=first, name="One", description="")
    with pytest.raises(Conflict, match=f"the tag v1 is on {first[:8]}, not on {second[:8]}"):
        releases.make(connection, "v1", sha=second, name="One", description="")
    assert releases.find(connection) == [made]


def test_a_tag_that_is_there_is_released_only_on_its_own_commit(connection: Connection, project: Any) -> None:
    first, second = _commit(project, "b"), _commit(project, "c")
    # A longer name and another case are other tags.
    for name, sha in (("v1", first), ("v1.1", second), ("V1", second)):
        project.tags.create({"tag_name": name, "ref": sha, "message": "Noted"})
    with pytest.raises(Conflict):
        releases.make(connection, "v1", sha=second, name="One", description="")
    assert releases.find(connection) == []
    assert releases.make(connection, "v1", sha=first, name="One", description="").commit == first


def test_of_many_at_once_one_makes_it_and_all_see_it(connection: Connection, project: Any) -> None:
    sha = _commit(project, "b")
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: releases.make(connection, "v1", sha=sha, name=f"{n}", description=""), range(6)))
    assert set(made) == set(releases.find(connection))


def test_the_newest_release_is_first(connection: Connection, project: Any) -> None:
    sha = _commit(project, "b")
    for number in range(1, 4):
        releases.make(connection, f"v{number}", sha=sha, name=f"{number}", description="")
    assert [item.tag for item in releases.find(connection)] == ["v3", "v2", "v1"]


def test_what_is_refused(connection: Connection, gitlab_server: LocalGitlab, project: Any) -> None:
    sha = _commit(project, "b")
    repository = gitlab_server.context.repository({"id": project.id})
    repository.git("update-ref", "refs/tags/file", repository.git("rev-parse", "main:b"))
    with pytest.raises(InvalidInput):
        releases.make(connection, "file", sha=sha, name="File", description="")
    with pytest.raises(NotFound):
        releases.get(connection, "v1")
    with pytest.raises(InvalidInput, match="Target 0000"):
        releases.make(connection, "v1", sha="0" * 40, name="One", description="")
    with pytest.raises(InvalidInput, match="Tag name invalid"):
        releases.make(connection, "a b", sha=sha, name="One", description="")
    project.protectedtags.create({"name": "v*", "create_access_level": 40})
    with pytest.raises(Refused, match="as it is protected"):
        releases.make(connection, "v1", sha=sha, name="One", description="")
    assert releases.find(connection) == []
