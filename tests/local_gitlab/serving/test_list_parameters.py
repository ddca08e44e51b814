"""Every query parameter of a list that GitLab documents is honoured, or refused with 400."""

from typing import Any

import gitlab
import pytest

from factory.local_gitlab.app import ROUTES
from factory.local_gitlab.serving.list_parameters import KEYSET, REFUSED, VALUES
from tests.servers import LocalGitlab

EARLY, LATE = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
CREATED = {"created_after": LATE, "created_before": EARLY}
UPDATED = {"updated_after": LATE, "updated_before": EARLY}
ISSUABLES = {
    "author_id": 9999,
    "author_username": "nobody",
    "iids": [9999],
    "labels": "none-has-it",
    "search": "none has it",
    "state": "closed",
    "scope": "assigned_to_me",
    **CREATED,
    **UPDATED,
}
# Filters that the server honours, each with a value that nothing has.
NOTHING: dict[str, dict[str, Any]] = {
    "/projects/{id}/issues": ISSUABLES,
    "/projects/{id}/merge_requests": {**ISSUABLES, "source_branch": "none", "target_branch": "none"},
    "/projects/{id}/pipelines": {
        "sha": "0" * 40,
        "ref": "none",
        "status": "preparing",
        "source": "chat",
        "username": "nobody",
        **CREATED,
        **UPDATED,
    },
    "/projects/{id}/jobs": {"scope": ["preparing", "scheduled"]},
    "/projects": {
        "search": "none-has-it",
        "visibility": "internal",
        "archived": True,
        "min_access_level": 60,
    },
    "/users": {"search": "none has it", "username": "nobody-at-all", "blocked": True, **CREATED},
    "/groups": {"search": "none has it", "visibility": "internal", "min_access_level": 60},
    "/namespaces": {"search": "none has it"},
    "/projects/{id}/members": {"query": "none has it", "user_ids": [9999]},
    "/projects/{id}/members/all": {"query": "none has it", "user_ids": [9999]},
    "/projects/{id}/repository/branches": {"search": "none-has-it", "regex": "^none"},
    "/projects/{id}/repository/commits": {"author": "nobody", "since": LATE, "until": EARLY, "path": "none"},
    "/projects/{id}/deployments": {"environment": "none", "status": "blocked", **UPDATED},
    "/projects/{id}/environments": {"name": "none", "search": "none has it", "states": "stopping"},
    "/projects/{id}/protected_branches": {"search": "none-has-it"},
    "/projects/{id}/milestones": {"state": "closed", "title": "none", "search": "none has it"},
}
# Parameters that select or order, with a value that GitLab refuses.
WRONG: dict[str, dict[str, Any]] = {
    **{path: dict.fromkeys(names, "luck") for path, names in VALUES.items()},
    "/projects/{id}/issues": {"state": "luck", "order_by": "luck", "sort": "luck", "scope": "luck", "author_id": "x"},
    "/projects/{id}/merge_requests": {"state": "luck", "order_by": "luck", "sort": "luck", "scope": "luck"},
    "/projects/{id}/deployments": {"status": "luck", "order_by": "luck", "sort": "luck", "updated_before": "luck"},
    "/projects/{id}/events": {"action": "luck", "sort": "luck", "before": "luck"},
    "/projects/{id}/environments": {"states": "luck", "search": "ab"},
    "/projects/{id}/repository/commits": {"order": "luck", "since": "luck", "until": "yesterday"},
    "/users": {"order_by": "luck", "sort": "luck", "created_after": "luck"},
}


@pytest.fixture(scope="module")
def project(gitlab_server: LocalGitlab) -> Any:
    """Return a project that has one of everything."""
    found = gitlab_server.project({".gitlab-ci.yml": "a: {script: ['true'], environment: here}\n"})
    found.issues.create({"title": "one"})
    found.milestones.create({"title": "one"})
    found.files.create({"file_path": "b", "branch": "x", "start_branch": "main", "content": "1", "commit_message": "b"})
    found.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "one"})
    found.protectedbranches.create({"name": "main"})
    gitlab_server.client().groups.create({"name": "some", "path": f"some-{found.id}"})
    return found


def listed(project: Any, path: str, /, **query: Any) -> Any:
    client = project.manager.gitlab
    return client.http_get(
        path.format(id=project.id, iid=1, pipeline_id=1, schedule_id=1, sha="main"), query_data=query
    )


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in REFUSED.items() for name in names])
def test_a_parameter_that_is_not_supported_is_refused(project: Any, path: str, name: str) -> None:
    for given in (name, f"{name}[labels]"):
        with pytest.raises(gitlab.GitlabHttpError, match="is not supported by the loopback GitLab") as refused:
            listed(project, path, **{given: "1"})
        assert refused.value.response_code == 400


@pytest.mark.parametrize("path", KEYSET)
def test_pages_by_keys_are_refused(project: Any, path: str) -> None:
    assert listed(project, path, pagination="legacy") == listed(project, path)
    with pytest.raises(gitlab.GitlabHttpError, match="pagination=keyset is not supported") as refused:
        listed(project, path, pagination="keyset", order_by="id", per_page=1)
    assert refused.value.response_code == 400


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in WRONG.items() for name in names])
def test_a_value_that_gitlab_does_not_know_is_refused(project: Any, path: str, name: str) -> None:
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        listed(project, path, **{name: WRONG[path][name]})
    assert refused.value.response_code == 400


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in NOTHING.items() for name in names])
def test_a_filter_is_honoured(project: Any, path: str, name: str) -> None:
    assert listed(project, path)
    value = NOTHING[path][name]
    query = {f"{name}[]": value} if isinstance(value, list) else {name: value}
    # Other tests use the same server: what they made may have the value, and nothing of this project has it.
    assert [item for item in listed(project, path, **query) if item.get(name) != value] == []


def test_the_tables_name_routes_that_are_served() -> None:
    served = {route.path for route in ROUTES if route.method == "GET"}
    assert {*KEYSET, *REFUSED, *VALUES, *NOTHING, *WRONG} <= served


def test_names_that_gitlab_does_not_document_have_no_effect(project: Any) -> None:
    for path in NOTHING:
        assert listed(project, path, luck="1") == listed(project, path)


def test_environments_and_pipelines_are_found_by_what_they_have(project: Any) -> None:
    assert [item["name"] for item in listed(project, "/projects/{id}/environments", search="HER")] == ["here"]
    assert listed(project, "/projects/{id}/environments", states="available")
    assert listed(project, "/projects/{id}/pipelines", username="root", updated_before=LATE, created_after=EARLY)
    with pytest.raises(gitlab.GitlabHttpError, match="cannot be used together"):
        listed(project, "/projects/{id}/environments", name="here", search="here")
