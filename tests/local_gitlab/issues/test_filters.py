"""Filters of issues and merge requests, and values that GitLab refuses or this server does not support."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab


def test_issues_are_filtered_by_author_and_time(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project()
    user, token = gitlab_server.user("author")
    project.members.create({"user_id": user.id, "access_level": 30})
    theirs = gitlab_server.client(token).projects.get(project.id)
    own = theirs.issues.create({"title": "own"})
    other = project.issues.create({"title": "other"})

    def iids(issues: Any, **filters: Any) -> list[int]:
        return [issue.iid for issue in issues.list(get_all=True, **filters)]

    assert iids(project.issues, author_username=user.username) == [own.iid]
    assert iids(project.issues, author_id=user.id) == [own.iid]
    assert iids(project.issues, author_username="nobody") == []
    assert iids(theirs.issues, scope="created_by_me") == [own.iid]
    assert iids(project.issues, scope="assigned_to_me") == []
    assert iids(project.issues, created_before="2001-01-01T00:00:00Z") == []
    assert iids(project.issues, updated_before="2090-01-01T00:00:00Z", sort="asc") == [own.iid, other.iid]


@pytest.mark.parametrize("kind", ["issues", "merge_requests"])
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"state": "luck"}, "state does not have a valid value"),
        ({"sort": "up"}, "sort does not have a valid value"),
        ({"scope": "luck"}, "scope does not have a valid value"),
        ({"created_after": "soon"}, "created_after is invalid"),
        ({"assignee_id": 1}, "assignee_id is not supported by the loopback GitLab"),
    ],
)
def test_refused_filters(gitlab_server: LocalGitlab, kind: str, query: dict[str, Any], reason: str) -> None:
    project = gitlab_server.project()
    with pytest.raises(gitlab.GitlabHttpError, match=reason) as refused:
        gitlab_server.client().http_list(f"/projects/{project.id}/{kind}", query_data=query, get_all=True)
    assert refused.value.response_code == 400


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"state_event": "luck"}, "state_event does not have a valid value"),
        ({"title": ["x"]}, "title is invalid"),
        ({"assignee_ids": [1]}, "assignee_ids is not supported"),
        ({"weight": 3}, "weight is not supported"),
    ],
)
def test_refused_changes_of_an_issue(gitlab_server: LocalGitlab, body: dict[str, Any], reason: str) -> None:
    project = gitlab_server.project()
    issue = project.issues.create({"title": "one"})
    with pytest.raises(gitlab.GitlabUpdateError, match=reason) as refused:
        project.issues.update(issue.iid, body)
    assert refused.value.response_code == 400
    assert project.issues.get(issue.iid).updated_at == issue.updated_at
