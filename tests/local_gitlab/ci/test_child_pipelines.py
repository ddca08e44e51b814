"""Child pipelines end to end: started, followed, refused, cancelled and retried, through python-gitlab."""

from typing import Any

import gitlab
import pytest

from tests.servers import LocalGitlab, wait_for

PARENT = """
stages: [one, two]
first: {stage: one, script: [echo first]}
child:
  stage: one
  allow_failure: true
  trigger:
    include: [{project: $CI_PROJECT_PATH, file: ci/child.yml}]
    strategy: depend
after: {stage: two, script: [echo after], needs: [child]}
"""
CHILD = "workflow: {rules: [{when: always}]}\ninclude: [{local: own.yml}]\n"
OWN = """
workflow: {rules: [{if: $CI_COMMIT_BRANCH == "never"}]}
default: {before_script: [echo before], retry: 1}
x: {script: ['echo "source=$CI_PIPELINE_SOURCE"', CODE]}
"""
END = {"success", "failed", "canceled", "skipped"}


def _project(server: LocalGitlab, own: str) -> tuple[Any, Any, Any]:
    """Return a project, its parent pipeline once it is over, and the bridge."""
    project = server.project({".gitlab-ci.yml": PARENT, "ci/child.yml": CHILD, "own.yml": own})

    def over() -> Any:
        (found,) = project.pipelines.list(get_all=True)
        return found if found.status in END else None

    pipeline = project.pipelines.get(wait_for(over).id)
    (bridge,) = pipeline.bridges.list(get_all=True)
    return project, pipeline, bridge


def test_a_bridge_has_the_status_of_its_child(gitlab_server: LocalGitlab) -> None:
    project, pipeline, bridge = _project(gitlab_server, OWN.replace("CODE", "echo ok"))
    assert (pipeline.status, bridge.status) == ("success", "success")
    child = project.pipelines.get(bridge.downstream_pipeline["id"])
    assert (child.source, child.sha, child.ref) == ("parent_pipeline", pipeline.sha, "main")
    (job,) = child.jobs.list(get_all=True)
    log = project.jobs.get(job.id).trace().decode()
    assert "before" in log, "the defaults of an included file hold"
    assert "source=parent_pipeline" in log
    assert [item.id for item in project.pipelines.list(get_all=True)] == [pipeline.id]
    assert [item.id for item in project.pipelines.list(get_all=True, source="parent_pipeline")] == [child.id]
    assert {item.name for item in project.jobs.list(get_all=True)} == {"x", "first", "after"}
    assert project.commits.get(pipeline.sha).last_pipeline["id"] == pipeline.id
    status = project.commits.get(pipeline.sha).statuses.create({"state": "success", "name": "outside"})
    assert status.pipeline_id == pipeline.id
    with pytest.raises(gitlab.GitlabGetError) as missing:
        project.jobs.get(bridge.id)
    assert missing.value.response_code == 404


def test_a_child_that_fails_is_tried_again_with_its_bridge(gitlab_server: LocalGitlab) -> None:
    project, pipeline, bridge = _project(gitlab_server, OWN.replace("CODE", "exit 3").replace("retry: 1", "retry: 0"))
    assert (pipeline.status, bridge.status, bridge.allow_failure) == ("success", "failed", True)
    assert {job.name: job.status for job in pipeline.jobs.list(get_all=True)} == {
        "first": "success",
        "after": "success",
    }
    first = bridge.downstream_pipeline["id"]
    pipeline.retry()

    def again() -> Any:
        (found,) = pipeline.bridges.list(get_all=True)
        return found if found.status in END and found.id != bridge.id else None

    second = wait_for(again).downstream_pipeline["id"]
    assert second != first
    assert project.pipelines.get(first).status == "failed"


@pytest.mark.parametrize(
    "own",
    [
        pytest.param("x: {script: [echo a], only: [main], parallel: {matrix: [{A: [b]}]}}\n", id="refused keywords"),
        pytest.param("x: [", id="no YAML"),
        pytest.param("x: {script: [echo a], rules: [{when: never}]}\n", id="no job"),
        pytest.param("x: {script: [echo a], needs: [y]}\n", id="an unknown job"),
    ],
)
def test_a_child_that_cannot_be_created_fails_its_bridge_alone(gitlab_server: LocalGitlab, own: str) -> None:
    project, pipeline, bridge = _project(gitlab_server, own)
    assert (pipeline.status, bridge.status) == ("success", "failed")
    assert bridge.failure_reason == "downstream_pipeline_creation_failed"
    assert bridge.downstream_pipeline is None
    assert project.pipelines.list(get_all=True, source="parent_pipeline") == []
    assert project.jobs.list(get_all=True, scope="failed") == []


def test_the_definition_of_a_child_is_that_of_the_default_branch(gitlab_server: LocalGitlab) -> None:
    project, _, _ = _project(gitlab_server, OWN.replace("CODE", "echo from-main"))
    change = [{"action": "update", "file_path": "own.yml", "content": OWN.replace("CODE", "echo from-branch")}]
    made = project.commits.create({"branch": "b", "start_branch": "main", "commit_message": "m", "actions": change})

    def over() -> Any:
        found = project.pipelines.list(get_all=True, source="parent_pipeline", sha=made.id)
        return found and found[0].status in END and found[0]

    (job,) = wait_for(over).jobs.list(get_all=True)
    log = project.jobs.get(job.id).trace().decode()
    assert "from-main" in log
    assert "from-branch" not in log


def test_a_cancelled_parent_cancels_its_child(gitlab_server: LocalGitlab) -> None:
    files = {".gitlab-ci.yml": PARENT, "ci/child.yml": CHILD, "own.yml": OWN.replace("CODE", "sleep 600")}
    project = gitlab_server.project(files)

    def running() -> Any:
        found = project.pipelines.list(get_all=True, source="parent_pipeline", status="running")
        return found and found[0].jobs.list(get_all=True, scope="running") and found[0]

    child = wait_for(running)
    (pipeline,) = project.pipelines.list(get_all=True)
    pipeline.cancel()
    wait_for(lambda: project.pipelines.get(child.id).status == "canceled")
    (bridge,) = pipeline.bridges.list(get_all=True)
    assert bridge.status == "canceled"


def test_a_child_that_starts_itself_ends_at_gitlabs_depth(gitlab_server: LocalGitlab) -> None:
    _, own = PARENT.split("first:")
    project, pipeline, bridge = _project(gitlab_server, "stages: [one, two]\nfirst:" + own)
    assert (pipeline.status, bridge.status) == ("success", "success")
    found = project.pipelines.list(get_all=True, source="parent_pipeline")
    assert len(found) == 2
    (last,) = found[0].bridges.list(get_all=True)
    assert (last.status, last.failure_reason) == ("failed", "reached_max_descendant_pipelines_depth")
