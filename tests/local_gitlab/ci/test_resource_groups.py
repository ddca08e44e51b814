"""Resource groups: the first job creates one, and its process mode orders the waiting jobs."""

from typing import Any

import gitlab
import pytest
import requests

from tests.servers import LocalGitlab, wait_for

DEFINITION = """
stages: [first, deploy]
hold: {stage: first, script: [ls], rules: [{if: $HOLD, when: manual}]}
deploy: {stage: deploy, resource_group: tf/$WHERE, script: [ls], variables: {WHERE: live}}
"""


def project_of(server: LocalGitlab) -> Any:
    """Return a project with a first job in the group ``tf/live``."""
    project = server.project({".gitlab-ci.yml": DEFINITION})
    wait_for(lambda: project.resource_groups.list(get_all=True))
    return project


def start(project: Any, **variables: str) -> int:
    """Start a pipeline and wait for its jobs; return the pipeline."""
    given = [{"key": key, "value": value} for key, value in variables.items()]
    made = project.pipelines.create({"ref": "main", "variables": given})
    wait_for(lambda: made.jobs.list(get_all=True))
    return int(made.id)


def statuses(project: Any) -> dict[int, str]:
    """Return the status of each pipeline's job in the group."""
    found = project.jobs.list(get_all=True)
    return {job.pipeline["id"]: job.status for job in found if job.name == "deploy"}


def becomes(project: Any, pipeline: int, status: str) -> None:
    """Wait until a pipeline's job in the group has a status."""
    wait_for(lambda: statuses(project)[pipeline] == status)


def finish_current(server: LocalGitlab, project: Any) -> None:
    """Cancel the job that holds the resource."""
    path = f"/projects/{project.id}/resource_groups/tf%2Flive/current_job"
    current: Any = server.client().http_get(path)
    project.jobs.get(current["id"]).cancel()


def test_the_first_job_that_names_a_group_creates_it(free_gitlab: LocalGitlab) -> None:
    project = project_of(free_gitlab)
    group = project.resource_groups.get("tf/live")
    assert (group.key, group.process_mode) == ("tf/live", "unordered")
    with pytest.raises(gitlab.GitlabUpdateError, match="process_mode does not have a valid value"):
        project.resource_groups.update("tf/live", {"process_mode": "luck"})
    group.process_mode = "newest_first"
    group.save()
    start(project)
    assert [item.process_mode for item in project.resource_groups.list(get_all=True)] == ["newest_first"]


def test_the_current_and_the_upcoming_jobs(free_gitlab: LocalGitlab) -> None:
    project = project_of(free_gitlab)
    first = next(iter(wait_for(lambda: statuses(project))))
    second = start(project)
    wait_for(lambda: statuses(project) == {first: "pending", second: "waiting_for_resource"})
    group = project.resource_groups.get("tf/live")
    assert [job.pipeline["id"] for job in group.upcoming_jobs.list(get_all=True)] == [second]
    finish_current(free_gitlab, project)
    becomes(project, second, "pending")
    finish_current(free_gitlab, project)
    url = f"{free_gitlab.url}/api/v4/projects/{project.id}/resource_groups/tf%2Flive/current_job"
    answer = requests.get(url, headers={"PRIVATE-TOKEN": free_gitlab.root_token}, timeout=30)
    assert (answer.status_code, answer.json()) == (200, None)


@pytest.mark.parametrize(("mode", "order"), [("oldest_first", [0, 1, 2]), ("newest_first", [2, 1, 0])])
def test_the_mode_orders_waiting_jobs(free_gitlab: LocalGitlab, mode: str, order: list[int]) -> None:
    project = project_of(free_gitlab)
    project.resource_groups.update("tf/live", {"process_mode": mode})
    waiting = [start(project) for _ in range(3)]
    wait_for(lambda: all(statuses(project)[number] == "waiting_for_resource" for number in waiting))
    for position in order:
        finish_current(free_gitlab, project)
        becomes(project, waiting[position], "pending")


@pytest.mark.parametrize(("mode", "status"), [("oldest_first", "waiting_for_resource"), ("unordered", "pending")])
def test_the_oldest_job_comes_first_even_if_it_is_not_ready(free_gitlab: LocalGitlab, mode: str, status: str) -> None:
    project = project_of(free_gitlab)
    project.resource_groups.update("tf/live", {"process_mode": mode})
    older = start(project, HOLD="yes")
    becomes(project, older, "created")
    newer = start(project)
    finish_current(free_gitlab, project)
    becomes(project, newer, status)
    if mode == "oldest_first":
        project.pipelines.get(older).cancel()
        becomes(project, newer, "pending")


def test_reporters_have_no_access(free_gitlab: LocalGitlab) -> None:
    project = project_of(free_gitlab)
    person, token = free_gitlab.user("reporter")
    project.members.create({"user_id": person.id, "access_level": 20})
    with pytest.raises(gitlab.GitlabGetError) as refused:
        free_gitlab.client(token).projects.get(project.id).resource_groups.get("tf/live")
    assert refused.value.response_code == 403
