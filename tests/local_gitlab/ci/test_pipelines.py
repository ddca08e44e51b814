"""Pipelines end to end with gitlab-ci-local, the built-in runner and python-gitlab."""

from functools import partial
from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab, wait_for

END = {"success", "failed", "canceled", "skipped", "manual"}

# With workflow rules, jobs without rules are part of a merge request's pipeline, too.
WORKFLOW = "workflow: {rules: [{when: always}]}\n"


def _run(server: LocalGitlab, definition: str, **files: str) -> tuple[Any, Any]:
    project = server.project({".gitlab-ci.yml": definition, **files})
    return project, _wait(project)


def _wait(project: Any, until: set[str] = END) -> Any:
    def over() -> Any:
        found = project.pipelines.list(get_all=True)
        return found[0] if found and found[0].status in until else None

    return project.pipelines.get(wait_for(over).id)


def _is_over(project: Any, number: int) -> bool:
    return project.pipelines.get(number).status in END


def _jobs(pipeline: Any) -> dict[str, Any]:
    return {job.name: job for job in pipeline.jobs.list(get_all=True)}


def _trace(project: Any, job: Any) -> str:
    text: str = project.jobs.get(job.id).trace().decode()
    return text


@pytest.mark.long
def test_needs_artifacts_dotenv_and_exit_codes(gitlab_server: LocalGitlab) -> None:
    definition = """
stages: [build, test]
make:
  stage: build
  script:
    - mkdir -p out
    - echo built > out/file
    - echo "VERSION=7" > build.env
  artifacts:
    paths: [out/]
    reports: {dotenv: build.env}
use:
  stage: test
  needs: [make]
  script:
    - cat out/file
    - echo "version $VERSION"
may-fail:
  stage: test
  needs: []
  allow_failure: true
  script: [exit 3]
never-reached:
  stage: test
  needs: [broken]
  script: [echo yes]
broken:
  stage: build
  script: [exit 4]
"""
    project, pipeline = _run(gitlab_server, definition)
    jobs = _jobs(pipeline)
    assert {name: job.status for name, job in jobs.items()} == {
        "make": "success",
        "use": "success",
        "may-fail": "failed",
        "broken": "failed",
        "never-reached": "skipped",
    }
    assert pipeline.status == "failed"
    trace = _trace(project, jobs["use"])
    assert "built" in trace
    assert "version 7" in trace
    assert project.jobs.get(jobs["make"].id).artifact("out/file") == b"built\n"


@pytest.mark.long
def test_timeout_retry_and_junit(gitlab_server: LocalGitlab) -> None:
    definition = """
slow:
  timeout: 1 seconds
  script: [sleep 30]
flaky:
  retry: 1
  script: [exit 1]
report:
  script:
    - echo '<testsuite><testcase name="a" classname="c" time="0.1"/>' > r.xml
    - echo '<testcase name="b"><failure>no</failure></testcase></testsuite>' >> r.xml
  artifacts:
    reports: {junit: r.xml}
"""
    project, pipeline = _run(gitlab_server, definition)
    jobs = _jobs(pipeline)
    assert jobs["slow"].failure_reason == "job_execution_timeout"
    assert len([job for job in pipeline.jobs.list(get_all=True, include_retried=True) if job.name == "flaky"]) == 2
    report = pipeline.test_report.get()
    assert (report.total_count, report.failed_count) == (2, 1)
    assert project.jobs.get(jobs["flaky"].id).status == "failed"


def test_manual_job_blocks_until_played_with_variables(gitlab_server: LocalGitlab) -> None:
    definition = """
stages: [a, b]
deploy:
  stage: a
  script: [echo "plan $PLAN"]
  rules: [{when: manual}]
after:
  stage: b
  script: [echo after]
"""
    project, pipeline = _run(gitlab_server, definition)
    assert pipeline.status == "manual"
    job = project.jobs.get(_jobs(pipeline)["deploy"].id)
    gitlab_server.client().http_post(
        f"/projects/{project.id}/jobs/{job.id}/play",
        post_data={"job_variables_attributes": [{"key": "PLAN", "value": "sha256:1"}]},
    )
    assert _wait(project, {"success"}).status == "success"
    assert "plan sha256:1" in _trace(project, job)


def test_cancel_ends_the_whole_process_group(gitlab_server: LocalGitlab, tmp_path: Any) -> None:
    marker = tmp_path / "alive"
    definition = f"long:\n  script: ['(while true; do date > {marker}; sleep 0.1; done) & wait']\n"
    project = gitlab_server.project({".gitlab-ci.yml": definition})
    project.protectedbranches.create({"name": "main"})
    pipeline = wait_for(lambda: project.pipelines.list(get_all=True))[0]
    wait_for(marker.exists)
    project.pipelines.get(pipeline.id).cancel()
    assert _wait(project).status == "canceled"

    def quiet() -> bool:
        marker.unlink(missing_ok=True)
        return not wait_for_any(marker)

    wait_for(quiet)


def wait_for_any(marker: Any) -> bool:
    try:
        wait_for(marker.exists, seconds=0.5)
    except AssertionError:
        return False
    return True


def test_an_unreadable_definition_fails_with_the_position(gitlab_server: LocalGitlab) -> None:
    _, pipeline = _run(gitlab_server, "job:\n  script: [a\n")
    assert pipeline.status == "failed"
    assert ".gitlab-ci.yml:3" in pipeline.yaml_errors


def test_schema_error_fails_with_a_reason(gitlab_server: LocalGitlab) -> None:
    _, pipeline = _run(gitlab_server, "job:\n  script: [a]\n  when: sometimes\n")
    assert pipeline.status == "failed"
    assert pipeline.yaml_errors


def test_workflow_rules_exclude_other_branches(gitlab_server: LocalGitlab) -> None:
    definition = "workflow:\n  rules:\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\njob:\n  script: [echo yes]\n"
    project, _ = _run(gitlab_server, definition)
    project.branches.create({"branch": "other", "ref": "main"})
    assert len(project.pipelines.list(get_all=True)) == 1


@pytest.mark.long
def test_a_tag_pipeline_is_protected_if_the_tag_is(gitlab_server: LocalGitlab) -> None:
    definition = """
workflow: {rules: [if: $CI_COMMIT_TAG]}
x: {script: ['echo "tag=$CI_COMMIT_TAG branch=$CI_COMMIT_BRANCH ref=$(git describe --tags) secret=$SECRET"']}
"""
    project = gitlab_server.project({".gitlab-ci.yml": definition})
    project.variables.create({"key": "SECRET", "value": "known", "protected": True})
    project.protectedtags.create({"name": "v*", "create_access_level": 40})
    assert project.pipelines.list(get_all=True) == []
    for name, secret in (("v1", "known"), ("other", "")):
        project.tags.create({"tag_name": name, "ref": "main"})
        (pipeline,) = [item for item in project.pipelines.list(get_all=True) if item.ref == name]
        wait_for(partial(_is_over, project, pipeline.id))
        assert (project.pipelines.get(pipeline.id).status, pipeline.source) == ("success", "push")
        job = _jobs(project.pipelines.get(pipeline.id))["x"]
        assert project.jobs.get(job.id).tag is True
        assert f"tag={name} branch= ref={name} secret={secret}" in _trace(project, job)
    again = project.pipelines.create({"ref": "v1"})
    assert again.tag is True


def test_skip_ci_skips_push_pipelines_but_not_api_pipelines(gitlab_server: LocalGitlab) -> None:
    project, _ = _run(gitlab_server, "x: {script: [echo hi]}\n")
    action = {"action": "create", "file_path": "a", "content": "x"}
    made = project.commits.create({"branch": "main", "commit_message": "quiet [Skip CI]", "actions": [action]})
    (quiet,) = project.pipelines.list(get_all=True, sha=made.id)
    assert (quiet.status, quiet.jobs.list(get_all=True)) == ("skipped", [])
    asked = project.pipelines.create({"ref": "main"})
    wait_for(partial(_is_over, project, asked.id))
    assert project.pipelines.get(asked.id).status == "success"


def test_pipelines_of_a_protected_branch_need_merge_rights(free_gitlab: LocalGitlab) -> None:
    definition = "x: {script: [echo hi], when: manual}\n"
    project = free_gitlab.project({".gitlab-ci.yml": definition})
    project.protectedbranches.create({"name": "main", "push_access_level": 0, "merge_access_level": 40})
    person, token = free_gitlab.user("person")
    project.members.create({"user_id": person.id, "access_level": 30})
    theirs = free_gitlab.client(token).projects.get(project.id)
    made = project.pipelines.create({"ref": "main"})
    wait_for(lambda: made.jobs.list(get_all=True))
    job = theirs.jobs.get(_jobs(made)["x"].id)
    run = theirs.pipelines.get(made.id)
    for refused in (job.play, job.cancel, run.cancel, run.retry, lambda: theirs.pipelines.create({"ref": "main"})):
        with pytest.raises(gitlab.GitlabError) as failure:
            refused()
        assert failure.value.response_code in {400, 403}
    theirs.branches.create({"branch": "own", "ref": "main"})
    own = theirs.pipelines.create({"ref": "own"})
    wait_for(lambda: own.jobs.list(get_all=True))
    theirs.jobs.get(_jobs(own)["x"].id).play()
    project.jobs.get(job.id).play()
    for pipeline in (made, own):
        pipeline.cancel()


def test_rules_of_jobs_see_the_predefined_variables(gitlab_server: LocalGitlab) -> None:
    definition = """
on-main:
  script: [echo yes]
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]
on-request:
  script: [echo yes]
  rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]
"""
    _, pipeline = _run(gitlab_server, definition)
    assert list(_jobs(pipeline)) == ["on-main"]


def test_rules_see_each_pipelines_own_variables(gitlab_server: LocalGitlab) -> None:
    definition = """
on-main: {script: [echo yes], rules: [{if: $CI_COMMIT_BRANCH == "main"}]}
on-other: {script: [echo yes], rules: [{if: $CI_COMMIT_BRANCH == "other"}]}
titled: {script: [echo yes], rules: [{if: $CI_COMMIT_TITLE =~ /again/}]}
"""
    project, first = _run(gitlab_server, definition)
    change = [{"action": "create", "file_path": "f", "content": "1"}]
    project.commits.create({"branch": "other", "start_branch": "main", "commit_message": "m", "actions": change})
    other = wait_for(lambda: [p for p in project.pipelines.list(ref="other", get_all=True) if p.status in END])[0]
    change = [{"action": "create", "file_path": "g", "content": "1"}]
    project.commits.create({"branch": "main", "commit_message": "again", "actions": change})
    again = wait_for(
        lambda: [p for p in project.pipelines.list(ref="main", get_all=True) if p.id != first.id and p.status in END]
    )[0]
    names = [sorted(_jobs(project.pipelines.get(pipeline.id))) for pipeline in (first, other, again)]
    assert names == [["on-main"], ["on-other"], ["on-main", "titled"]]


def test_definition_from_the_protected_ref_ignores_the_merge_request(gitlab_server: LocalGitlab) -> None:
    project, _ = _run(gitlab_server, WORKFLOW + "job:\n  script: [echo from-main]\n")
    project.ci_config_path = f".gitlab-ci.yml@{project.path_with_namespace}:main"
    project.save()
    actions = [{"action": "update", "file_path": ".gitlab-ci.yml", "content": "job:\n  script: [echo from-branch]\n"}]
    project.commits.create({"branch": "x", "start_branch": "main", "commit_message": "m", "actions": actions})
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
    pipeline = wait_for(lambda: [p for p in request.pipelines.list(get_all=True) if p.status == "success"])[0]
    job = _jobs(project.pipelines.get(pipeline.id))["job"]
    assert "from-main" in _trace(project, job)
    assert "from-branch" not in _trace(project, job)


def test_merge_request_job_without_network_has_no_token(gitlab_server: LocalGitlab) -> None:
    definition = (
        WORKFLOW + "job:\n  script: ['echo \"token=[$CI_JOB_TOKEN] url=[$CI_REPOSITORY_URL]\"', 'cat .git/config']\n"
    )
    project, _ = _run(gitlab_server, definition)
    project.branches.create({"branch": "x", "ref": "main"})
    project.commits.create(
        {"branch": "x", "commit_message": "m", "actions": [{"action": "create", "file_path": "f", "content": "1"}]}
    )
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
    pipeline = wait_for(lambda: [p for p in request.pipelines.list(get_all=True) if p.status == "success"])[0]
    trace = _trace(project, _jobs(project.pipelines.get(pipeline.id))["job"])
    assert "token=[] url=[]" in trace
    assert "gitlab-ci-token" not in trace


def test_merge_needs_pipeline_approval_and_sha(gitlab_server: LocalGitlab) -> None:
    project, _ = _run(gitlab_server, WORKFLOW + "job:\n  script: [echo yes]\n")
    project.merge_method = "ff"
    project.only_allow_merge_if_pipeline_succeeds = True
    project.save()
    person, person_token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": 40})
    project.approvalrules.create({"name": "one", "approvals_required": 1, "user_ids": [person.id]})
    actions = [{"action": "create", "file_path": "f", "content": "1"}]
    project.commits.create({"branch": "x", "start_branch": "main", "commit_message": "m", "actions": actions})
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})

    def status() -> str:
        text: str = project.mergerequests.get(request.iid).detailed_merge_status
        return text

    assert status() in {"ci_still_running", "ci_must_pass"}
    wait_for(lambda: status() == "not_approved")
    with pytest.raises(gitlab.GitlabMRClosedError):
        project.mergerequests.get(request.iid).merge()
    with pytest.raises(gitlab.GitlabAuthenticationError):
        request.approve()
    theirs = gitlab_server.client(person_token).projects.get(project.id).mergerequests.get(request.iid)
    with pytest.raises(gitlab.GitlabMRApprovalError) as moved:
        theirs.approve(sha="0" * 40)
    assert moved.value.response_code == 409
    head = theirs.sha
    theirs.approve(sha=head)
    assert status() == "mergeable"
    done = project.mergerequests.get(request.iid).merge(sha=head)
    assert done["state"] == "merged"
    assert project.branches.get("main").commit["id"] == head


def test_a_push_resets_approvals(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    person, token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": 40})
    change = [{"action": "create", "file_path": "f", "content": "1"}]
    project.commits.create({"branch": "x", "start_branch": "main", "commit_message": "m", "actions": change})
    request = project.mergerequests.create({"source_branch": "x", "target_branch": "main", "title": "t"})
    gitlab_server.client(token).projects.get(project.id).mergerequests.get(request.iid).approve()
    assert len(project.mergerequests.get(request.iid).approvals.get().approved_by) == 1
    change = [{"action": "update", "file_path": "f", "content": "2"}]
    project.commits.create({"branch": "x", "commit_message": "m", "actions": change})
    assert project.mergerequests.get(request.iid).approvals.get().approved_by == []


def test_a_protected_environment_waits_for_another_users_approval(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"README": "x"})
    person, token = gitlab_server.user("person")
    project.members.create({"user_id": person.id, "access_level": 40})
    project.protected_environments.create(
        {
            "name": "production",
            "deploy_access_levels": [{"access_level": 40}],
            "approval_rules": [{"access_level": 40, "required_approvals": 1}],
        }
    )
    definition = "deploy:\n  environment: {name: production}\n  script: [echo yes]\n  rules: [{when: manual}]\n"
    actions = [{"action": "create", "file_path": ".gitlab-ci.yml", "content": definition}]
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": actions})
    job = project.jobs.get(_jobs(_wait(project))["deploy"].id)
    with pytest.raises(gitlab.GitlabJobPlayError) as blocked:
        job.play()
    assert blocked.value.response_code == 400
    deployment = project.deployments.list(status="blocked", get_all=True)[0]
    with pytest.raises(gitlab.GitlabDeploymentApprovalError):
        project.deployments.get(deployment.id).approval(status="approved")
    theirs = gitlab_server.client(token).projects.get(project.id).deployments.get(deployment.id)
    theirs.approval(status="approved", comment="plan sha256:1")
    job.play()
    wait_for(lambda: project.deployments.get(deployment.id).status == "success")


@pytest.mark.long
def test_a_job_that_only_accesses_an_environment_is_not_a_deployment(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"README": "x"})
    definition = "".join(
        f"{action}:\n  environment: {{name: production, action: {action}}}\n  script: [echo yes]\n"
        for action in ("prepare", "verify", "access")
    )
    actions = [{"action": "create", "file_path": ".gitlab-ci.yml", "content": definition}]
    project.commits.create({"branch": "main", "commit_message": "ci", "actions": actions})
    assert {job.status for job in _jobs(_wait(project)).values()} == {"success"}
    assert project.deployments.list(get_all=True) == []
    assert [item.name for item in project.environments.list(get_all=True)] == ["production"]


def test_a_variable_of_the_definition_may_refer_to_others(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"README": "x"})
    definition = (
        "variables: {OF_ALL: of $CI_COMMIT_SHA}\n"
        "job:\n  variables:\n    OWN: '$CI_PROJECT_ID-${CI_COMMIT_REF_NAME}'\n"
        "    AS_IS: {value: $CI_PROJECT_ID, expand: false}\n"
        "  script: ['echo \"[$OF_ALL] [$OWN] [$AS_IS]\"']\n"
    )
    actions = [{"action": "create", "file_path": ".gitlab-ci.yml", "content": definition}]
    sha = project.commits.create({"branch": "main", "commit_message": "ci", "actions": actions}).id
    job = project.jobs.get(_jobs(_wait(project))["job"].id)
    assert f"[of {sha}] [{project.id}-main] [$CI_PROJECT_ID]" in job.trace().decode()
