"""Merge requests that merge when their checks pass (GitLab docs: Auto-merge)."""

import time
from collections.abc import Callable
from typing import Any

import gitlab
import pytest

from tests.local_gitlab.merge_requests.test_merging import change, titles
from tests.servers import LocalGitlab, wait_for

# A pipeline that somebody starts, and that fails with the project's variable RESULT.
PIPELINE = """
check:
  script: ['test -z "$RESULT"']
  rules: [{if: $CI_MERGE_REQUEST_ID, when: manual, allow_failure: false}]
"""
MANUAL = {"a": "1", ".gitlab-ci.yml": PIPELINE}


def changed(server: LocalGitlab, **settings: Any) -> tuple[Any, Any]:
    """Return a project and its merge request, whose pipeline waits for somebody."""
    project = server.project(MANUAL, only_allow_merge_if_pipeline_succeeds=True, **settings)
    request = change(project)
    wait_for(lambda: request.pipelines.list(get_all=True)[0].status == "manual")
    return project, request


def waiting(server: LocalGitlab, **settings: Any) -> tuple[Any, Any]:
    """Return a project and its merge request, which merges when the pipeline succeeds."""
    project, request = changed(server, **settings)
    answer = request.merge(merge_when_pipeline_succeeds=True)
    assert (answer["merge_when_pipeline_succeeds"], answer["state"]) == (True, "opened")
    return project, request


def member(server: LocalGitlab, project: Any) -> tuple[Any, gitlab.Gitlab]:
    """Return a new Developer of a project, and that account's client."""
    person, token = server.user("merger")
    project.members.create({"user_id": person.id, "access_level": 30})
    return person, server.client(token)


def run_check(project: Any) -> None:
    """Start the manual job."""
    project.jobs.list(scope=["manual"], get_all=True)[0].play()


def state(project: Any, request: Any) -> Any:
    return project.mergerequests.get(request.iid)


def merged(project: Any, request: Any) -> Any:
    """Wait until the merge request is merged; return it."""
    return wait_for(lambda: found if (found := state(project, request)).state == "merged" else None)


def stays_open(project: Any, request: Any, *, status: str, auto: bool = True) -> None:
    """Check that nothing merges while two passes look at the merge request."""
    wait_for(lambda: state(project, request).head_pipeline["status"] == status)
    time.sleep(2.5)
    found = state(project, request)
    assert (found.state, found.merge_when_pipeline_succeeds) == ("opened", auto)


@pytest.mark.parametrize("parameter", ["auto_merge", "merge_when_pipeline_succeeds"])
def test_it_merges_when_the_pipeline_succeeds(gitlab_server: LocalGitlab, parameter: str) -> None:
    project, request = changed(gitlab_server)
    person, client = member(gitlab_server, project)
    path = f"/projects/{project.id}/merge_requests/{request.iid}/merge"
    body = {parameter: True, "squash": True, "squash_commit_message": "both", "should_remove_source_branch": False}
    client.http_put(path, post_data=body)
    before = state(project, request)
    assert (before.merge_user["id"], before.merged_by, before.squash) == (person.id, None, True)
    assert (before.should_remove_source_branch, before.detailed_merge_status) == (False, "ci_must_pass")
    run_check(project)
    after = merged(project, request)
    assert (after.merged_by["id"], after.merge_user["id"]) == (person.id, person.id)
    assert titles(project)[0] == "both"
    assert project.branches.get("x").name == "x"


def test_a_failed_pipeline_merges_nothing_until_a_retry_succeeds(gitlab_server: LocalGitlab) -> None:
    project, request = waiting(gitlab_server)
    result = project.variables.create({"key": "RESULT", "value": "bad"})
    run_check(project)
    stays_open(project, request, status="failed")
    result.delete()
    project.jobs.list(scope=["failed"], get_all=True)[0].retry()
    merged(project, request)


def approve(_: Any, request: Any) -> None:
    request.approve()


def resolve(_: Any, request: Any) -> None:
    (found,) = request.discussions.list(get_all=True)
    found.resolved = True
    found.save()


def undraft(project: Any, request: Any) -> None:
    project.mergerequests.update(request.iid, {"title": "All"})


@pytest.mark.parametrize(("check", "end"), [("approval", approve), ("thread", resolve), ("draft", undraft)])
def test_it_waits_for_every_other_check(
    gitlab_server: LocalGitlab, check: str, end: Callable[[Any, Any], None]
) -> None:
    settings = {"only_allow_merge_if_all_discussions_are_resolved": True} if check == "thread" else {}
    project, request = waiting(gitlab_server, **settings)
    if check == "approval":
        project.approvalrules.create({"name": "one", "approvals_required": 1, "rule_type": "any_approver"})
        path = f"/projects/{project.id}/approvals"
        gitlab_server.client().http_post(path, post_data={"merge_requests_author_approval": True})
    elif check == "thread":
        request.discussions.create({"body": "why?"})
    else:
        project.mergerequests.update(request.iid, {"title": "Draft: All"})
    run_check(project)
    stays_open(project, request, status="success")
    end(project, request)
    merged(project, request)


def test_it_waits_for_an_approval_after_the_pipeline_has_passed(gitlab_server: LocalGitlab) -> None:
    project, request = changed(gitlab_server)
    project.approvalrules.create({"name": "one", "approvals_required": 1, "rule_type": "any_approver"})
    run_check(project)
    wait_for(lambda: state(project, request).head_pipeline["status"] == "success")
    with pytest.raises(gitlab.GitlabMRClosedError):
        request.merge()
    assert request.merge(merge_when_pipeline_succeeds=True)["merge_when_pipeline_succeeds"]
    _, client = member(gitlab_server, project)
    client.projects.get(project.id).mergerequests.get(request.iid).approve()
    merged(project, request)


def commit(project: Any) -> None:
    project.files.create({"file_path": "more", "branch": "x", "content": "1", "commit_message": "more"})


def close(project: Any) -> None:
    (request,) = project.mergerequests.list(get_all=True)
    for event in ("close", "reopen"):
        project.mergerequests.update(request.iid, {"state_event": event})


def move_target(project: Any) -> None:
    project.files.create({"file_path": "more", "branch": "main", "content": "1", "commit_message": "more"})


@pytest.mark.parametrize("event", [commit, close, move_target])
def test_what_drops_the_auto_merge(gitlab_server: LocalGitlab, event: Callable[[Any], None]) -> None:
    project, request = waiting(gitlab_server)
    event(project)
    found = state(project, request)
    assert (found.merge_when_pipeline_succeeds, found.merge_user, found.state) == (False, None, "opened")


def test_a_target_that_moves_does_not_drop_it_where_merge_commits_are_made(gitlab_server: LocalGitlab) -> None:
    project, request = waiting(gitlab_server, merge_method="merge")
    move_target(project)
    run_check(project)
    merged(project, request)


@pytest.mark.parametrize("loss", ["member", "account", "protected"])
def test_the_rights_at_the_time_of_the_merge_decide(gitlab_server: LocalGitlab, loss: str) -> None:
    project, request = changed(gitlab_server)
    person, client = member(gitlab_server, project)
    client.projects.get(project.id).mergerequests.get(request.iid).merge(merge_when_pipeline_succeeds=True)
    if loss == "member":
        project.members.delete(person.id)
    elif loss == "account":
        person.delete()
    else:
        project.protectedbranches.create({"name": "main", "merge_access_level": 40})
    run_check(project)
    stays_open(project, request, status="success")


def test_an_auto_merge_is_cancelled_by_its_author_or_who_may_merge(gitlab_server: LocalGitlab) -> None:
    project, request = waiting(gitlab_server)
    assert request.cancel_merge_when_pipeline_succeeds() == {"status": "success"}
    assert request.cancel_merge_when_pipeline_succeeds()["status"] == "error"
    run_check(project)
    stays_open(project, request, status="success", auto=False)


def test_without_anything_to_wait_for_it_is_refused(gitlab_server: LocalGitlab) -> None:
    project = gitlab_server.project({"a": "1"})
    request = change(project)
    with pytest.raises(gitlab.GitlabMRClosedError) as refused:
        request.merge(merge_when_pipeline_succeeds=True)
    assert refused.value.response_code == 405


def test_a_branch_that_needs_a_rebase_cannot_wait(gitlab_server: LocalGitlab) -> None:
    project, request = changed(gitlab_server)
    move_target(project)
    with pytest.raises(gitlab.GitlabMRClosedError) as refused:
        request.merge(merge_when_pipeline_succeeds=True)
    assert refused.value.response_code == 405
