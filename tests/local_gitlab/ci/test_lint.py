"""Validating a definition, as it stands and as a pipeline of a ref (GitLab docs: CI Lint API)."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab

RULES = """
workflow: {rules: [{if: $CI_COMMIT_BRANCH == "closed", when: never}, {when: always}]}
all: {script: [x]}
main: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == "main"}]}
other: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == "other", when: manual}]}
tag: {script: [x], rules: [{if: $CI_COMMIT_TAG == "v1"}]}
file: {script: [x], rules: [{exists: [only-on-other]}]}
"""
NONE = "a: {script: [x], rules: [{if: $NOBODY}]}\n"


@pytest.fixture(scope="module")
def project(gitlab_server: LocalGitlab) -> Any:
    """Return a project with branches ``main``, ``other`` and ``closed`` and the tag ``v1``."""
    found = gitlab_server.project({".gitlab-ci.yml": RULES})
    for name in ("closed", "other"):
        found.branches.create({"branch": name, "ref": "main"})
    found.files.create({"file_path": "only-on-other", "branch": "other", "content": "1", "commit_message": "more"})
    found.files.update(".gitlab-ci.yml", {"branch": "closed", "content": NONE, "commit_message": "less"})
    found.tags.create({"tag_name": "v1", "ref": "main"})
    return found


def lint(project: Any, method: str, **values: Any) -> Any:
    client, path = project.manager.gitlab, f"/projects/{project.id}/ci/lint"
    if method == "get":
        return client.http_get(path, query_data={"include_jobs": True, **values})
    return client.http_post(path, post_data={"content": RULES, "include_jobs": True, **values})


def names(answer: Any) -> set[str]:
    assert answer["valid"], answer
    return {job["name"] for job in answer["jobs"]}


ALL = {"all", "main", "other", "tag", "file"}


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ALL),
        ({"ref": "other"}, ALL),
        ({"ref": "closed"}, ALL),
        ({"dry_run": True}, {"all", "main"}),
        ({"dry_run": True, "ref": "other"}, {"all", "other", "file"}),
        ({"dry_run": True, "ref": "v1"}, {"all", "tag"}),
    ],
)
def test_rules_decide_in_a_dry_run_of_a_ref(project: Any, method: str, values: Any, expected: set[str]) -> None:
    assert names(lint(project, method, **values)) == expected


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("ref", "reason"),
    [("closed", "Pipeline filtered out by workflow rules."), ("nowhere", "Reference not found")],
)
def test_a_dry_run_that_makes_no_pipeline_is_invalid(project: Any, method: str, ref: str, reason: str) -> None:
    answer = lint(project, method, dry_run=True, ref=ref)
    assert (answer["valid"], answer["errors"]) == (False, [reason])


def test_a_dry_run_without_jobs_is_invalid(project: Any) -> None:
    assert lint(project, "post", content=NONE)["valid"]
    (error,) = lint(project, "post", content=NONE, dry_run=True)["errors"]
    assert "not run for the selected trigger" in error


def test_a_dry_run_needs_the_right_to_run_a_pipeline(gitlab_server: LocalGitlab, project: Any) -> None:
    project.protectedbranches.create({"name": "other", "push_access_level": 40, "merge_access_level": 40})
    person, token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": 30})
    theirs = gitlab_server.client(token).projects.get(project.id)
    assert names(lint(theirs, "post", dry_run=True)) == {"all", "main"}
    (error,) = lint(theirs, "get", dry_run=True, dry_run_ref="other")["errors"]
    assert "sufficient permission" in error


@pytest.mark.parametrize("name", ["content_ref", "sha"])
def test_the_content_comes_from_a_ref(project: Any, name: str) -> None:
    assert names(lint(project, "get", **{name: "closed"})) == {"a"}


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"content_ref": "main", "sha": "main"}, 400),
        ({"dry_run_ref": "main", "ref": "main"}, 400),
        ({"dry_run": "perhaps"}, 400),
        ({"include_jobs": "perhaps"}, 400),
        ({"content_ref": "nowhere"}, 404),
    ],
)
def test_what_cannot_be_checked_is_refused(project: Any, values: dict[str, str], status: int) -> None:
    with pytest.raises(gitlab.GitlabHttpError) as refused:
        lint(project, "get", **values)
    assert refused.value.response_code == status


def test_without_include_jobs_no_jobs_are_listed(project: Any) -> None:
    assert "jobs" not in lint(project, "post", include_jobs=False)
