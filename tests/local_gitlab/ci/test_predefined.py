"""Predefined variables: who has which, and their values."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from factory.local_gitlab.definition.variable_table import NEVER, TABLE
from factory.local_gitlab.definition.variables import environment_slug, named, slug
from tests.servers import LocalGitlab, wait_for

HOSTILE = "$(touch stolen) `id` $CI_JOB_TOKEN ${CI_PROJECT_ID} \"';\nid"
DEFINITION = """
workflow: {rules: [{if: $GITLAB_USER_LOGIN == "root"}]}
.print:
  script:
    - |
      python3 -c 'import json, os; print("VALUES" + json.dumps(dict(os.environ)))'
all: {extends: .print}
"one: [x]":
  extends: .print
  variables: {SANDBOX_NETWORK: host}
  environment: {name: review/One, url: "http://$CI_JOB_GROUP_NAME.localhost"}
  rules: [{if: $CI_JOB_GROUP_NAME == "one" && $CI_COMMIT_TAG, when: manual}]
requested: {script: ["true"], rules: [{if: $CI_OPEN_MERGE_REQUESTS && $CI_COMMIT_BRANCH}]}
"""
Values = Mapping[str, str]


def change(project: Any, message: str, **more: str) -> Any:
    """Commit a file to a branch."""
    action = {"action": "create", "file_path": f"f{len(message)}", "content": "x"}
    return project.commits.create({"commit_message": message, "actions": [action], **more})


def jobs(project: Any, **which: Any) -> dict[str, Any]:
    """Return the jobs of the newest pipeline with these properties, once it has jobs."""

    def found() -> list[Any]:
        made = project.pipelines.list(get_all=False, **which)
        return made[0].jobs.list(get_all=True) if made else []

    return {job.name: project.jobs.get(job.id) for job in wait_for(found)}


def values(project: Any, job: Any) -> Values:
    """Return what the environment of a job had."""
    wait_for(lambda: project.jobs.get(job.id).status in {"success", "failed"})
    trace = project.jobs.get(job.id).trace().decode()
    return dict(json.loads(re.findall("^VALUES(.*)$", trace, re.MULTILINE)[-1]))


@pytest.fixture(scope="module")
def project(gitlab_server: LocalGitlab) -> Any:
    """Return a project that has had a pipeline of each kind."""
    project = gitlab_server.project({".gitlab-ci.yml": DEFINITION}, description="d", topics=["One", "two"])
    change(project, HOSTILE, branch="a--b", start_branch="main")
    request = project.mergerequests.create(
        {"source_branch": "a--b", "target_branch": "main", "title": "Draft: " + HOSTILE, "description": "x" * 2701}
    )
    project.labels.create({"name": "kind", "color": "#000000"})
    request.labels = ["kind"]
    request.save()
    request.pipelines.create({})
    project.pipelines.create({"ref": "a--b"})
    project.tags.create({"tag_name": "v1", "ref": "main", "message": "first"})
    project.releases.create({"tag_name": "v1", "description": "good"})
    jobs(project, ref="v1")["one: [x]"].play()
    schedule = project.pipelineschedules.create({"ref": "main", "description": "nightly", "cron": "0 1 * * 5"})
    schedule.play()
    return project


@pytest.fixture(scope="module")
def of_request(project: Any) -> Values:
    """Return the variables of a job of the merge request's pipeline."""
    return values(project, jobs(project, source="merge_request_event")["all"])


@pytest.fixture(scope="module")
def of_branch(project: Any) -> Values:
    """Return the variables of a job of a branch with a merge request."""
    return values(project, jobs(project, ref="a--b", source="api")["all"])


@pytest.fixture(scope="module")
def of_tag(project: Any) -> Values:
    """Return the variables of a tag's manual job with an environment."""
    return values(project, jobs(project, ref="v1")["one: [x]"])


def test_jobs_have_what_the_table_says(project: Any, of_request: Values, of_branch: Values, of_tag: Values) -> None:
    scheduled = values(project, jobs(project, source="schedule")["all"])
    assert scheduled["CI_PIPELINE_SCHEDULE_DESCRIPTION"] == "nightly"
    found = {name for one in (of_request, of_branch, of_tag, scheduled) for name in one if name in TABLE}
    other = [name for one in (of_request, of_branch, of_tag) for name in one if name.startswith(("CI", "GITLAB"))]
    assert found == {name for name, words in TABLE.items() if not words.startswith(NEVER)}
    assert set(other) <= found


def test_what_commits_and_requests_say_is_a_value_alone(of_request: Values) -> None:
    first, rest = HOSTILE.split("\n")
    assert of_request["CI_COMMIT_MESSAGE"].rstrip("\n") == HOSTILE
    assert of_request["CI_COMMIT_TITLE"] == first
    assert of_request["CI_COMMIT_DESCRIPTION"] == rest
    assert of_request["CI_MERGE_REQUEST_TITLE"] == "Draft: " + HOSTILE


def test_variables_of_a_merge_request(project: Any, of_request: Values) -> None:
    (request,) = project.mergerequests.list(get_all=True)
    wanted = {
        "APPROVED": "true",
        "DESCRIPTION": "x" * 2700,
        "DESCRIPTION_IS_TRUNCATED": "true",
        "DIFF_ID": str(request.diffs.list(get_all=True)[0].id),
        "DRAFT": "true",
        "EVENT_TYPE": "detached",
        "LABELS": "kind",
        "PROJECT_URL": of_request["CI_PROJECT_URL"],
        "SOURCE_BRANCH_PROTECTED": "false",
        "SOURCE_BRANCH_SHA": "",
        "SOURCE_PROJECT_ID": str(project.id),
        "SQUASH_ON_MERGE": "false",
        "TARGET_BRANCH_NAME": "main",
        "TARGET_BRANCH_SHA": "",
    }
    assert {name: of_request[f"CI_MERGE_REQUEST_{name}"] for name in wanted} == wanted
    assert (of_request["CI_COMMIT_REF_NAME"], of_request["CI_COMMIT_REF_SLUG"]) == ("a--b", "a--b")
    assert of_request["CI_CONCURRENT_ID"] in {"0", "1"}


def test_a_branch_knows_its_open_merge_requests(project: Any, of_branch: Values) -> None:
    assert of_branch["CI_OPEN_MERGE_REQUESTS"] == f"{project.path_with_namespace}!1"
    assert "CI_MERGE_REQUEST_IID" not in of_branch
    assert list(jobs(project, ref="a--b", source="api")) == ["requested", "all"]


def test_variables_of_project_server_and_job(project: Any, of_tag: Values) -> None:
    fqdn = of_tag["CI_SERVER_URL"].removeprefix("http://")
    job = jobs(project, ref="v1")["one: [x]"]
    wanted = {
        "CI_COMMIT_TAG_MESSAGE": "first",
        "CI_RELEASE_DESCRIPTION": "good",
        "CI_ENVIRONMENT_ACTION": "start",
        "CI_ENVIRONMENT_SLUG": environment_slug("review/One"),
        "CI_ENVIRONMENT_TIER": "development",
        "CI_ENVIRONMENT_URL": "http://one.localhost",
        "CI_JOB_GROUP_NAME": "one",
        "CI_JOB_MANUAL": "true",
        "CI_JOB_STARTED_AT": job.started_at.partition(".")[0] + "Z",
        "CI_JOB_TAGS": "[]",
        "CI_JOB_TIMEOUT": "3600",
        "CI_PROJECT_DESCRIPTION": "d",
        "CI_PROJECT_NAMESPACE_ID": str(project.namespace["id"]),
        "CI_PROJECT_ROOT_NAMESPACE": "root",
        "CI_PROJECT_TITLE": project.name,
        "CI_PROJECT_TOPICS": "one,two",
        "CI_PROJECT_VISIBILITY": "private",
        "CI_RUNNER_ID": str(job.runner["id"]),
        "CI_RUNNER_DESCRIPTION": job.runner["description"],
        "CI_SERVER_FQDN": fqdn,
        "CI_SERVER_PORT": fqdn.split(":")[1],
        "CI_SERVER_PROTOCOL": "http",
        "CI_SERVER_VERSION_MAJOR": "19",
        "GITLAB_USER_ID": "1",
    }
    assert {name: of_tag[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "group"),
    [("a: [b, c]", "a"), ("a 1/2", "a"), ("a 1 2 3", "a 1"), ("a:b", "a:b"), ("a: [b] 1/2", "a"), ("a[b]", "a[b]")],
)
def test_numbered_jobs_are_of_one_group(name: str, group: str) -> None:
    assert named(name, "test")["CI_JOB_GROUP_NAME"] == group


@pytest.mark.parametrize(("text", "wanted"), [("A/b__C", "a-b--c"), ("-é1-", "1"), ("x" * 70, "x" * 63)])
def test_a_slug_is_a_part_of_a_hosts_name(text: str, wanted: str) -> None:
    assert slug(text) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("production", "production"),
        ("a-", "a"),
        ("review/one", "review-one-sbi7zf"),
        ("1", "env-1-"),
        ("x" * 30, "x" * 17 + "-"),
    ],
)
def test_a_changed_slug_of_an_environment_has_a_suffix(name: str, wanted: str) -> None:
    found = environment_slug(name)
    assert found.startswith(wanted)
    assert len(found) <= 24
