"""Which runner takes a job: tags, protected branches, projects; and the source of tags."""

from collections.abc import Iterator
from typing import Any

import gitlab
import pytest
import requests

from factory.local_gitlab.runner import registration
from tests.servers import LocalGitlab, running_gitlab, wait_for

RUNNER = {
    "paused": False,
    "runner_type": "instance_type",
    "tag_list": [],
    "run_untagged": True,
    "access_level": "not_protected",
    "_projects": [],
}
DEFINITION = """
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
      variables: {PLACE: review, COLOUR: rule}
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $WHO == "own"
      variables: {PLACE: safe}
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
variables: {PLACE: hosted, COLOUR: whole}
default: {tags: ["$PLACE"]}
say:
  script: ['echo "$PLACE $COLOUR $OWN"']
other:
  tags: ["$COLOUR-$NOTHING", x]
  variables: {COLOUR: job, OWN: job}
  script: ["true"]
plain:
  tags: ["$NOTHING"]
  script: ["true"]
"""


@pytest.mark.parametrize(
    ("changed", "tags", "protected", "expected"),
    [
        ({}, [], False, True),
        ({}, ["a"], False, False),
        ({"tag_list": ["a", "b"]}, ["a"], False, True),
        ({"tag_list": ["a", "b"]}, ["a", "b", "c"], False, False),
        ({"tag_list": ["a"], "run_untagged": False}, [], False, False),
        ({"tag_list": ["a"], "run_untagged": False}, ["a"], False, True),
        ({"paused": True}, [], True, False),
        ({"access_level": "ref_protected"}, [], False, False),
        ({"access_level": "ref_protected"}, [], True, True),
        ({"runner_type": "project_type", "_projects": [1]}, [], False, True),
        ({"runner_type": "project_type", "_projects": [2]}, [], False, False),
    ],
)
def test_which_jobs_a_runner_takes(
    changed: dict[str, Any], tags: list[str], *, protected: bool, expected: bool
) -> None:
    assert registration.takes({**RUNNER, **changed}, 1, tags, protected=protected) is expected


def tags(project: Any) -> dict[str, list[str]]:
    found = wait_for(lambda: project.jobs.list(get_all=True))
    return {job.name: job.tag_list for job in found}


def test_tags_come_from_rules_and_project_variables_win(quiet: LocalGitlab) -> None:
    project = quiet.project({".gitlab-ci.yml": DEFINITION})
    assert tags(project) == {"say": ["hosted"], "other": ["job-", "x"], "plain": []}
    project.variables.create({"key": "WHO", "value": "own"})
    project.commits.create(
        {"branch": "main", "commit_message": "2", "actions": [{"action": "create", "file_path": "b", "content": "x"}]}
    )
    wait_for(lambda: len(project.jobs.list(get_all=True)) == 6)
    newest = project.pipelines.list(get_all=True)[0]
    assert {job.name: job.tag_list for job in newest.jobs.list(get_all=True)}["say"] == ["safe"]
    project.variables.create({"key": "PLACE", "value": "mine"})
    third = project.pipelines.create({"ref": "main"})
    wait_for(lambda: len(third.jobs.list(get_all=True)) == 3)
    assert {job.name: job.tag_list for job in third.jobs.list(get_all=True)}["say"] == ["mine"]


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGitlab]:
    """Run a server without a runner, so that a test can take the jobs itself."""
    with running_gitlab(tmp_path_factory.mktemp("runners"), concurrency=0) as server:
        yield server


def asked(server: LocalGitlab, token: str) -> dict[str, Any]:
    """Return the job that a runner gets; cut the long poll short if no job is available."""
    try:
        answer = requests.post(f"{server.url}/api/v4/jobs/request", json={"token": token}, timeout=2)
    except requests.Timeout:
        return {}
    return dict(answer.json())


@pytest.mark.long
def test_a_protected_runner_never_takes_a_merge_requests_job(quiet: LocalGitlab) -> None:
    project = quiet.project({".gitlab-ci.yml": "a: {script: ['true'], rules: [{if: $CI_MERGE_REQUEST_IID}]}\n"})
    project.protectedbranches.create({"name": "main"})
    made: Any = quiet.client().http_post(
        "/user/runners",
        post_data={"runner_type": "project_type", "project_id": project.id, "access_level": "ref_protected"},
    )
    action = {"action": "create", "file_path": "b", "content": "x"}
    project.commits.create({"branch": "c", "start_branch": "main", "commit_message": "c", "actions": [action]})
    project.mergerequests.create({"source_branch": "c", "target_branch": "main", "title": "c"})
    job = wait_for(lambda: project.jobs.list(get_all=True))[0]
    wait_for(lambda: project.jobs.get(job.id).status == "pending")
    assert asked(quiet, made["token"]) == {}
    runner = quiet.client().runners.get(made["id"])
    assert (runner.status, runner.access_level) == ("online", "ref_protected")
    runner.access_level = "not_protected"
    runner.save()
    assert asked(quiet, made["token"])["id"] == job.id


def test_a_project_runners_variables_precede_the_definitions(quiet: LocalGitlab) -> None:
    project = quiet.project({".gitlab-ci.yml": DEFINITION})
    for key in ("OWN", "COLOUR"):
        project.variables.create({"key": key, "value": "project"})
    made: Any = quiet.client().http_post(
        "/user/runners",
        post_data={
            "runner_type": "project_type",
            "project_id": project.id,
            "tag_list": ["project-", "x"],
            "run_untagged": False,
        },
    )
    third = project.pipelines.create({"ref": "main"})
    wait_for(lambda: {job.status for job in third.jobs.list(get_all=True)} == {"pending"})
    given = asked(quiet, made["token"])
    assert given["job_info"]["name"] == "other"
    values = {item["key"]: item["value"] for item in given["variables"]}
    assert (values["OWN"], values["COLOUR"], values["PLACE"]) == ("project", "project", "hosted")


def test_only_a_maintainer_registers_and_changes_a_projects_runner(quiet: LocalGitlab) -> None:
    project = quiet.project({"a": "1"})
    body = {"runner_type": "project_type", "project_id": project.id, "tag_list": ["a"]}
    people = {}
    for level in (30, 40):
        user, token = quiet.user("one")
        project.members.create({"user_id": user.id, "access_level": level})
        people[level] = gitlab.Gitlab(quiet.url, private_token=token)
    with pytest.raises(gitlab.GitlabHttpError, match="403"):
        people[30].http_post("/user/runners", post_data=body)
    made: Any = people[40].http_post("/user/runners", post_data=body)
    listed = people[40].projects.get(project.id).runners.list(get_all=True, type="project_type")
    assert [(item.id, item.status) for item in listed] == [(made["id"], "never_contacted")]
    with pytest.raises(gitlab.GitlabGetError, match="403"):
        people[30].runners.get(made["id"])
    again: Any = people[40].http_post(f"/runners/{made['id']}/reset_authentication_token")
    with pytest.raises(gitlab.GitlabHttpError, match="403"):
        quiet.client().http_post("/runners/verify", post_data={"token": made["token"]})
    quiet.client().http_post("/runners/verify", post_data={"token": again["token"]})
    with pytest.raises(gitlab.GitlabHttpError, match="can not be empty"):
        people[40].http_put(f"/runners/{made['id']}", post_data={"tag_list": [], "run_untagged": False})
    people[40].runners.delete(made["id"])
    with pytest.raises(gitlab.GitlabHttpError, match="403"):
        quiet.client().http_post("/runners/verify", post_data={"token": again["token"]})
